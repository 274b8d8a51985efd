//! Time limits as Slurm writes them.

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Seconds of a time limit: minutes, `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM` or `D-HH:MM:SS`. `Some(None)` stands for a job without
/// a limit, `None` for text that is not a time.
pub(crate) fn seconds(text: &str) -> Option<Option<u64>> {
    if ["unlimited", "infinite"].contains(&text.to_lowercase().as_str()) {
        return Some(None);
    }
    let number = |part: &str| part.parse::<u32>().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit())).map(u64::from);
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(number(days)?), clock),
        None => (None, text),
    };
    let parts = clock.split(':').map(number).collect::<Option<Vec<u64>>>()?;
    let seconds = match (days, &parts[..]) {
        (None, [minutes]) => minutes * MINUTE,
        (None, [minutes, seconds]) => minutes * MINUTE + seconds,
        (_, [hours, minutes, seconds]) => days.unwrap_or(0) * DAY + hours * HOUR + minutes * MINUTE + seconds,
        (Some(days), [hours]) => days * DAY + hours * HOUR,
        (Some(days), [hours, minutes]) => days * DAY + hours * HOUR + minutes * MINUTE,
        _ => return None,
    };
    (seconds > 0).then_some(Some(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_by_hand() {
        let check = |text: &str, expected: u64| assert_eq!(seconds(text), Some(Some(expected)), "{text}");
        check("90", 5400);
        check("1:30", 90);
        check("01:30:00", 5400);
        check("2-12", 216_000);
        check("1-0:30", 88_200);
        check("1-00:00:10", 86_410);
        assert_eq!(seconds("UNLIMITED"), Some(None));
        for text in ["", "0", "00:00:00", "4h", "1:2:3:4", "1.5", "-5", "1-", "+3", "1-2-3"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
