use super::*;

fn refused(pickle: &[u8], expected: &str) {
    let message = tensors(pickle).unwrap_err();
    assert!(message.contains(expected), "{message}");
}

/// `{"w": tensor}` of shape (2, 3), as `torch.save` writes it; the parts after the storage are given.
pub(in super::super) fn tensor(rest: &[u8]) -> Vec<u8> {
    let start = b"\x80\x02}q\x00X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage\
                  ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ";
    [&start[..], rest].concat()
}

pub(in super::super) const PLAIN: &[u8] = b"K\x00K\x02K\x03\x86K\x03K\x01\x86\x89ccollections\nOrderedDict\n)RtRs.";

#[test]
fn nothing_is_called_and_nothing_takes_more_than_its_bytes() {
    refused(b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "found a call of `os system`, which is not made");
    refused(b"cbuiltins\neval\n)\x81.", "operation 0x81");
    refused(&tensor(b"tR."), "found a call of `torch._utils _rebuild_tensor_v2`"); // arguments missing
    refused(&tensor(b"K\x00K\x02K\x03\x86K\x01K\x02\x86\x89NtRs."), "one after the other, found strides [1, 2] of [2, 3]");
    refused(&tensor(b"J\xff\xff\xff\xffK\x02K\x03\x86K\x03K\x01\x86\x89NtRs."), "found -1");
    refused(&tensor(b"K\x00J\xff\xff\xff\xff\x85K\x01\x85\x89NtRs."), "a tensor's shape and strides");
    refused(b"X\xff\xff\xff\xffa.", "found its end");
    refused(b"\x8a\x09123456789.", "at most eight bytes");
    refused(b"h\x05.", "expected object 5");
    refused(b"(t.", "found another object");
    refused(b"t.", "found none");
    refused(b"K\x01Q.", "expected a storage");
    refused(b"K\x01K\x02s.", "expected a dict");
    refused(b"", "found its end");
    // A tuple of two of itself, again and again, would be 2^200 objects if it were copied; it is too deep.
    let bomb: Vec<u8> = [&b")q\x00"[..], &b"h\x00h\x00\x86q\x00".repeat(200), b"."].concat();
    refused(&bomb, "tuples at most 8 deep");
    let deep: Vec<u8> = [&b")"[..], &b"\x85".repeat(1_000_000), b"."].concat();
    refused(&deep, "tuples at most 8 deep");
    assert_eq!(tensors(b"}X\x01\x00\x00\x00aK\x01s.").unwrap(), []);
}
