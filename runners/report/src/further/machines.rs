//! Who ran what: the machines that trained the trials.

use super::{Cell, Further, Row};
use crate::number::significant;
use crate::text::counted;
use crate::{Machine, Results};

/// A row for each machine; `None` where none is known.
pub fn machines(results: &Results) -> Option<Further> {
    if results.machines.is_empty() {
        return None;
    }
    let row = |machine: &Machine| Row {
        cells: vec![
            Cell::words(machine.host.as_deref().unwrap_or("not recorded")),
            Cell::words(machine.processor.as_deref().unwrap_or("not recorded")),
            Cell::number(machine.threads.to_string(), machine.threads as f64),
            Cell::words(&instructions(machine)),
            Cell::number(machine.kind.to_string(), machine.kind as f64),
            Cell::number(machine.trials.to_string(), machine.trials as f64),
            Cell::number(hours(machine), machine.hours),
        ],
        marked: false,
    };
    let titles = [
        ("host", false),
        ("processor", false),
        ("threads", true),
        ("instructions", false),
        ("kind", true),
        ("trials", true),
        ("hours", true),
    ];
    let tuning = if results.tuning.is_empty() { "" } else { " Trials of tuning are not counted." };
    let remark = format!(
        "Trials that are done; one that several machines trained counts for each of them, with the hours that it spent there, from \
         its first step to its last measure. Machines of one kind have the same processor, threads, instructions and device: time is \
         compared between trials on one kind only.{tuning}"
    );
    Some(Further {
        title: "Who ran what",
        plots: &[],
        remark,
        titles: titles.to_vec(),
        rows: results.machines.iter().map(row).collect(),
    })
}

/// The same in one line, where one machine did it all: the page folds its table.
pub fn one_machine(results: &Results) -> Option<String> {
    let [machine] = &results.machines[..] else { return None };
    let host = machine.host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default();
    let processor = machine.processor.as_deref().unwrap_or("a processor without a name");
    let (threads, instructions) = (counted(machine.threads, "thread"), instructions(machine));
    let instructions = if instructions.is_empty() { String::new() } else { format!(", {instructions}") };
    let trials = counted(machine.trials, "trial");
    let time = if machine.hours < 0.1 {
        format!("{} seconds", significant(machine.hours * 3600.0, 2))
    } else {
        format!("{} hours", hours(machine))
    };
    Some(format!("One machine, {host}{processor}, {threads}{instructions}; {trials} in {time}"))
}

/// More digits than a study of a few seconds has would only look exact.
fn hours(machine: &Machine) -> String {
    if machine.hours < 0.01 { "< 0.01".to_owned() } else { significant(machine.hours, 3) }
}

/// The device is named where it is not the processor.
fn instructions(machine: &Machine) -> String {
    let device = Some(&machine.device).filter(|device| *device != "cpu");
    machine.instructions.iter().chain(device).cloned().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::sample;

    #[test]
    fn each_machine_has_a_row_with_its_trials_and_hours() {
        let table = machines(&sample::mixed()).unwrap();
        // the sample's machines take a quarter of an hour for a trial
        assert_eq!(row(&table, 0), ["node-1", "EPYC", "2", "avx2", "1", "7", "1.75"]);
        assert_eq!(row(&table, 1), ["node-2", "Xeon", "4", "avx2", "2", "4", "1.00"]);
        assert_eq!((table.rows.len(), one_machine(&sample::mixed())), (2, None));
        assert!(machines(&Results { machines: vec![], ..sample::results() }).is_none());
    }

    #[test]
    fn one_machine_is_a_line() {
        let mut results = sample::results();
        let line = "One machine, node-1: EPYC, 2 threads, avx2; 11 trials in 2.75 hours";
        assert_eq!(one_machine(&results).as_deref(), Some(line));
        let machine = &mut results.machines[0];
        (machine.host, machine.instructions, machine.threads, machine.device) = (None, None, 1, "cuda:0".into());
        let line = "One machine, EPYC, 1 thread, cuda:0; 11 trials in 2.75 hours";
        assert_eq!(one_machine(&results).as_deref(), Some(line), "an older folder");
        assert_eq!(row(&machines(&results).unwrap(), 0)[..2], ["not recorded", "EPYC"]);
        results.machines[0].hours = 0.0003;
        assert_eq!(row(&machines(&results).unwrap(), 0).last(), Some(&"< 0.01"));
    }
}
