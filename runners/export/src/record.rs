//! The framing of TFRecord files: little-endian length, its checksum, the data, their checksum.
//!
//! ```text
//! u64 length | u32 masked_crc32c(length) | length bytes of data | u32 masked_crc32c(data)
//! ```

/// Adds one record to a file.
pub(crate) fn push(file: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked_crc32c(&length).to_le_bytes());
    file.extend(data);
    file.extend(masked_crc32c(data).to_le_bytes());
}

/// CRC-32C, rotated right by 15 bits, plus a constant: a checksum of data that hold checksums would be weak without.
pub(crate) fn masked_crc32c(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis_and_masked() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283); // the check value of CRC-32C
        // 0xe3069283 rotated right by 15 is 0x2507c60d; the sum with 0xa282ead8 is 0xc78ab0e5.
        assert_eq!(masked_crc32c(b"123456789"), 0xc78a_b0e5);
    }

    #[test]
    fn a_record_is_its_length_data_and_two_checksums() {
        let mut file = Vec::new();
        push(&mut file, b"123456789");
        assert_eq!(file.len(), 8 + 4 + 9 + 4);
        assert_eq!(file[..8], [9, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(file[8..12], masked_crc32c(&[9, 0, 0, 0, 0, 0, 0, 0]).to_le_bytes());
        assert_eq!(&file[12..21], b"123456789");
        assert_eq!(file[21..], [0xe5, 0xb0, 0x8a, 0xc7]);
    }
}
