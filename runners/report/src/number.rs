//! Numbers formatted for people.

/// With a fixed count of decimals, in scientific notation from a million on; never `-0.00`.
pub fn fixed(value: f64, decimals: usize) -> String {
    if value.is_finite() && value.abs() >= 1e6 { format!("{value:.2e}") } else { decimal(value, decimals) }
}

fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|byte| byte == b'0' || byte == b'.') => rest.to_owned(),
        _ => text,
    }
}

/// With a fixed count of decimals and a sign, except for zero.
pub fn signed(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    if value > 0.0 && text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) || value == f64::INFINITY {
        format!("+{text}")
    } else {
        text
    }
}

/// With this many significant digits; in scientific notation where a plain number would be long.
pub fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor();
    if !(-5.0..7.0).contains(&magnitude) {
        return format!("{value:.*e}", digits - 1);
    }
    decimal(value, (digits as f64 - 1.0 - magnitude).max(0.0) as usize)
}

/// [`significant`] without zeros at the end: 0.04, not 0.040.
pub fn brief(value: f64, digits: usize) -> String {
    let text = significant(value, digits);
    if text.contains('.') && !text.contains('e') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Rounded, with commas: 12,345.
pub fn grouped(value: f64) -> String {
    let whole = decimal(value, 0);
    if !value.is_finite() || value.abs() >= 1e15 {
        return significant(value, 3);
    }
    let start = usize::from(whole.starts_with('-'));
    let mut text = String::new();
    for (index, digit) in whole.char_indices() {
        if index > start && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The decimals that show two digits of the smallest of these sizes, from 3 to 6; 4 where there is none.
pub fn decimals_for(sizes: impl IntoIterator<Item = f64>) -> usize {
    let least = sizes.into_iter().map(f64::abs).filter(|size| size.is_finite() && *size > 0.0).reduce(f64::min);
    least.map_or(4, |size| (1.0 - size.log10().floor()).clamp(3.0, 6.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_and_signs() {
        assert_eq!(fixed(-0.0004, 2), "0.00");
        assert_eq!(fixed(f64::NAN, 2), "NaN");
        assert_eq!(fixed(-1e300, 2), "-1.00e300");
        assert_eq!(signed(0.0314, 3), "+0.031");
        assert_eq!(signed(-0.0314, 3), "-0.031");
        assert_eq!(signed(0.0001, 3), "0.000");
        assert_eq!(signed(f64::INFINITY, 3), "+inf");
    }

    #[test]
    fn significant_digits() {
        assert_eq!(significant(3.45678, 4), "3.457");
        assert_eq!(significant(12345.6, 4), "12346");
        assert_eq!(significant(1.5e9, 3), "1.50e9");
        assert_eq!(significant(f64::NEG_INFINITY, 3), "-inf");
        assert_eq!(brief(0.04, 2), "0.04");
        assert_eq!(brief(0.0412, 2), "0.041");
        assert_eq!(brief(20.0, 2), "20");
        assert_eq!(grouped(1234567.8), "1,234,568");
        assert_eq!(grouped(-123.0), "-123");
        assert_eq!(grouped(f64::NAN), "NaN");
    }

    #[test]
    fn enough_decimals_for_the_smallest() {
        assert_eq!(decimals_for([0.019, 0.5]), 3); // 0.019
        assert_eq!(decimals_for([0.0081, f64::NAN, 0.0]), 4); // 0.0081
        assert_eq!(decimals_for([25.0]), 3);
        assert_eq!(decimals_for([]), 4);
    }
}
