//! What `torch.save` writes: a zip archive of a pickle, which lists the tensors, and of storages, a file of numbers each.

use super::pickle::{self, TorchTensor};
use candle_core::DType;
use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Cursor;
use std::rc::Rc;
use zip::{CompressionMethod, ZipArchive};

/// Bytes of a pickle, which holds names and shapes alone.
const MOST: usize = 1 << 26;

/// A file of `torch.save`.
pub(super) struct Torch<'a> {
    bytes: &'a [u8],
    archive: RefCell<ZipArchive<Cursor<&'a [u8]>>>,
    /// The archive's folder.
    folder: String,
    tensors: pickle::Tensors,
}

impl<'a> Torch<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let refuse = |error: zip::result::ZipError| {
            format!(
                "expected the zip archive that torch.save writes since torch 1.6: {error}; save an older file again with a newer torch"
            )
        };
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(refuse)?;
        let pickles = archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix("data.pkl")?.to_owned()));
        let folder = pickles.min().ok_or("expected a data.pkl in the archive, found none")?;
        let mut file = Self { bytes, archive: RefCell::new(archive), folder, tensors: Vec::new() };
        if let Ok(order) = file.entry("byteorder")
            && order != b"little"
        {
            return Err(format!("expected little-endian numbers, found {:?}", String::from_utf8_lossy(order)));
        }
        let pickle = file.entry("data.pkl")?;
        if pickle.len() > MOST {
            return Err(format!("expected a pickle of at most {MOST} bytes, found {}", pickle.len()));
        }
        file.tensors = pickle::tensors(pickle)?;
        let mut seen = HashSet::new(); // a name is written once and may be used again and again, in five bytes each time
        match file.tensors.iter().find(|(name, _)| !seen.insert(name.clone())) {
            Some((name, _)) => {
                let shown: String = name.chars().take(80).collect();
                Err(format!("expected `{}` once in the pickle, found it twice", shown.escape_debug()))
            }
            None => Ok(file),
        }
    }

    /// Names of its tensors, in the order written.
    pub fn names(&self) -> Vec<String> {
        self.tensors.iter().map(|(name, _)| name.to_string()).collect()
    }

    pub fn tensor(&self, name: &str) -> Result<Rc<TorchTensor>, String> {
        let found = self.tensors.iter().find(|(known, _)| &**known == name);
        found.map(|(_, tensor)| tensor.clone()).ok_or_else(|| format!("expected `{name}`, found none"))
    }

    /// Bytes of a tensor's numbers.
    pub fn data(&self, tensor: &TorchTensor, dtype: DType) -> Result<&'a [u8], String> {
        let storage = self.entry(&format!("data/{}", tensor.storage))?;
        let count = tensor.shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        let range = count.and_then(|count| {
            let [first, length] = [tensor.offset, count].map(|numbers| numbers.checked_mul(dtype.size_in_bytes()));
            Some(first?..first?.checked_add(length?)?)
        });
        range.and_then(|range| storage.get(range)).ok_or_else(|| {
            let TorchTensor { shape, offset, .. } = tensor;
            format!("expected numbers for a shape of {shape:?} from {offset} on, found a storage of {} bytes", storage.len())
        })
    }

    /// A file of the archive. torch stores them as they are; what is compressed could be any size.
    fn entry(&self, name: &str) -> Result<&'a [u8], String> {
        let shown: String = name.chars().take(80).collect::<String>().escape_debug().to_string();
        let mut archive = self.archive.borrow_mut();
        let file =
            archive.by_name(&format!("{}{name}", self.folder)).map_err(|error| format!("{shown} in the archive: {error}"))?;
        if file.compression() != CompressionMethod::Stored {
            return Err(format!("expected {shown} to be stored in the archive as it is, found {:?}", file.compression()));
        }
        let whole = file.data_start().and_then(|start| {
            let start = usize::try_from(start).ok()?;
            self.bytes.get(start..start.checked_add(usize::try_from(file.size()).ok()?)?)
        });
        whole.ok_or_else(|| format!("expected {shown} within the archive, found its end"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::pickle::tests::{PLAIN, tensor};
    use super::*;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            writer.start_file(*name, stored).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn a_dict_of_tensors_is_read() {
        let numbers: Vec<u8> = (0..6).flat_map(|x| (x as f32).to_le_bytes()).collect();
        let bytes = archive(&[("m/data.pkl", &tensor(PLAIN)), ("m/data/0", &numbers)]);
        let file = Torch::open(&bytes).unwrap();
        assert_eq!(file.names(), ["w"]);
        let found = file.tensor("w").unwrap();
        assert_eq!((&found.shape[..], found.dtype, &*found.class), (&[2, 3][..], Some(DType::F32), "FloatStorage"));
        assert_eq!(file.data(&found, DType::F32).unwrap(), numbers);
        assert!(file.data(&found, DType::F64).unwrap_err().contains("found a storage of 24 bytes"));
        for length in 0..bytes.len() {
            let cut = Torch::open(&bytes[..length])
                .map(|file| file.tensor("w").map(|found| file.data(&found, DType::F32).map(<[_]>::len)));
            assert!(!matches!(cut, Ok(Ok(Ok(24)))), "{length}");
        }
    }

    #[test]
    fn what_an_archive_lacks_is_refused() {
        let open = |files: &[(&str, &[u8])]| Torch::open(&archive(files)).map(|file| file.names()).unwrap_err();
        assert!(open(&[("x", b"")]).contains("expected a data.pkl"));
        assert!(open(&[("data.pkl", b".")]).contains("expected an object in the pickle, found none"));
        assert!(open(&[("data.pkl", &tensor(PLAIN)), ("byteorder", b"big")]).contains("found \"big\""));
        let bytes = archive(&[("data.pkl", &tensor(PLAIN))]);
        let file = Torch::open(&bytes).unwrap();
        assert!(file.data(&file.tensor("w").unwrap(), DType::F32).unwrap_err().starts_with("data/0 in the archive: "));
        assert!(Torch::open(b"\x80\x02}.").err().unwrap().contains("the zip archive that torch.save writes since torch 1.6"));
    }
}
