//! The shape of a cloud, as the command line names it: `32768x256`.

use std::fmt;
use std::str::FromStr;

/// Groups, points per group, dims per point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub groups: usize,
    pub points: usize,
    pub dims: usize,
}

/// Values in the largest cloud: 16 GiB of float32.
const MOST: usize = 1 << 32;

impl Shape {
    pub fn numbers(self) -> usize {
        self.groups * self.points * self.dims
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Option<Vec<usize>> = text.split('x').map(|size| size.parse().ok()).collect();
        let shape = match sizes.as_deref() {
            Some(&[points, dims]) => Some(Self { groups: 1, points, dims }),
            Some(&[groups, points, dims]) => Some(Self { groups, points, dims }),
            _ => None,
        };
        let numbers = |shape: &Self| shape.groups.checked_mul(shape.points)?.checked_mul(shape.dims);
        let legal = |shape: &Self| shape.points >= 2 && numbers(shape).is_some_and(|count| (1..=MOST).contains(&count));
        shape.filter(legal).ok_or_else(|| {
            let expected = "expected POINTSxDIMS or GROUPSxPOINTSxDIMS, as in 32768x256";
            format!("{expected}, of at least 2 points per group and at most {MOST} values in all")
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.groups, self.points, self.dims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_has_one_group_where_none_are_named() {
        assert_eq!("64x8".parse(), Ok(Shape { groups: 1, points: 64, dims: 8 }));
        assert_eq!("4x64x8".parse(), Ok(Shape { groups: 4, points: 64, dims: 8 }));
        assert_eq!("4x64x8".parse::<Shape>().unwrap().numbers(), 2048);
    }

    #[test]
    fn other_words_are_refused() {
        for text in ["", "64", "64x", "x8", "64x8x2x2", "64 x 8", "1x8", "64x0", "0x64x8", "-4x8", "65536x65537"] {
            assert!(text.parse::<Shape>().unwrap_err().contains("expected POINTSxDIMS"), "{text}");
        }
    }
}
