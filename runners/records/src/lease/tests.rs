use super::*;
use crate::machine::host;
use std::fs::File;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

/// A runner that holds `folder`, which is its folder of results too.
pub(crate) fn taken(folder: &Path) -> (Runner, Lease) {
    let runner = Runner::join(folder, None).unwrap();
    let lease = take(&runner, folder).unwrap();
    (runner, lease)
}

fn take(runner: &Runner, folder: &Path) -> Result<Lease, Holder> {
    match runner.take(folder, &mut Others::of(folder)).unwrap() {
        Claim::Taken(lease) => Ok(lease),
        Claim::Held(holder) => Err(holder),
    }
}

/// As if the runner were gone, while this process remembers it.
fn forget(folder: &Path, runner: &Runner) {
    std::fs::remove_file(card::file_of(folder, &runner.card().id)).unwrap();
}

#[test]
fn a_folder_has_one_holder_and_the_next_has_the_next_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (first, lease) = taken(folder);
    let second = Runner::join(folder, None).unwrap();
    let started = Instant::now();
    let holder = take(&second, folder).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!((holder.pid, holder.attempt, &holder.runner), (std::process::id(), 1, &first.card().id));
    assert!(holder.to_string().contains(&format!("process {} on {}", std::process::id(), host())));
    assert_eq!(holder_of(folder).unwrap(), Some(holder));
    lease.fence().check().unwrap();
    drop(lease);
    assert_eq!(holder_of(folder).unwrap(), None);
    assert_eq!(take(&second, folder).unwrap().fence().attempt(), 2);
}

#[test]
fn a_runner_that_is_gone_is_fenced_and_gives_back_nothing_that_is_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (gone, lost) = taken(folder);
    forget(folder, &gone);
    let (_next, lease) = taken(folder);
    assert!(lost.fence().check().unwrap_err().to_string().contains("taken over by process"));
    lease.fence().check().unwrap();
    drop(lost);
    drop(gone);
    lease.fence().check().unwrap();
    assert_eq!(holder_of(folder).unwrap().as_ref(), Some(lease.fence().holder()));
}

/// A card as a runner of another machine, or one that was killed, leaves it.
fn leave(folder: &Path, id: &str, process: Option<process::Process>) -> Holder {
    let card = Card {
        id: id.into(),
        host: "elsewhere".into(),
        pid: 7,
        session: "s".into(),
        started: 0,
        study: None,
        job: None,
        process,
    };
    std::fs::create_dir_all(folder.join("runners")).unwrap();
    std::fs::write(card::file_of(folder, id), serde_json::to_string(&card).unwrap()).unwrap();
    let holder = Holder { runner: id.into(), host: "elsewhere".into(), pid: 7, attempt: 6, released: false };
    std::fs::write(claim::file_of(folder, TRIAL, 6), serde_json::to_string(&holder).unwrap()).unwrap();
    holder
}

#[test]
fn a_process_of_this_machine_that_ended_is_taken_over_at_once_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let mut process = serde_json::to_value(process::Process::this().unwrap()).unwrap();
    process["pid"] = child.id().into(); // a process of that number that began at another time
    leave(folder, "killed", serde_json::from_value(process).unwrap());
    let lease = take(&Runner::join(folder, None).unwrap(), folder).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(lease.fence().attempt(), 7);
    assert!(!card::file_of(folder, "killed").exists());
}

/// Clocks of machines differ, by hours where nobody sets them: what counts is whether the heartbeat changes.
#[test]
fn a_runner_of_another_machine_is_held_for_alive_whatever_the_age_of_its_heartbeat_by_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let holder = leave(folder, "remote", None);
    let (me, mut others) = (Runner::join(folder, None).unwrap(), Others::of(folder));
    for hours in [0, 1, 1000] {
        let beat = SystemTime::now() - Duration::from_secs(3600 * hours);
        File::options().append(true).open(card::file_of(folder, "remote")).unwrap().set_modified(beat).unwrap();
        let Claim::Held(found) = me.take(folder, &mut others).unwrap() else { panic!("{hours} hours") };
        assert_eq!(found, holder);
    }
    let present = present(folder).unwrap();
    assert_eq!(present.len(), 1, "a reader is told of those whose heartbeat is recent: {present:?}");
}

/// The card of a living runner was emptied, and whoever asked for it waited for ever.
#[test]
fn others_that_live_are_found_by_their_heartbeat_whatever_their_cards_hold() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (first, second) = (Runner::join(folder, None).unwrap(), Runner::join(folder, None).unwrap());
    let found = |stop: bool, wanted: fn(&Card) -> bool| {
        second.living_other(&mut Others::of(folder), || stop, wanted).unwrap().map(|card| card.id)
    };
    let id = Some(first.card().id.clone());
    assert_eq!(found(false, |_| true), id);
    assert_eq!(found(false, |card| card.study.is_some()), None, "it has not opened the folder");
    first.show("a study").unwrap();
    assert_eq!(found(false, |card| card.study.as_deref() == Some("a study")), id);
    std::fs::write(card::file_of(folder, &first.card().id), "").unwrap();
    assert_eq!(found(false, |_| true), id);
    let patience = Instant::now();
    while card::read(folder, &first.card().id).unwrap().unwrap().0.is_none() {
        assert!(patience.elapsed() < Duration::from_secs(10), "it writes its card again at its next heartbeat");
        std::thread::sleep(Duration::from_millis(20));
    }
    leave(folder, "remote", None);
    let old = SystemTime::now() - Duration::from_secs(3600);
    File::options().append(true).open(card::file_of(folder, "remote")).unwrap().set_modified(old).unwrap();
    assert_eq!(found(true, |card| card.id == "remote"), None, "whoever is asked to stop does not watch for half a minute");
}

#[test]
fn what_a_frozen_holder_still_writes_does_not_replace_what_the_next_one_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (gone, lost) = taken(folder);
    let file = folder.join("status.json");
    lost.fence().write_whole(&file, b"1").unwrap();
    // frozen after it asked, with its file half written
    let partial = folder.join("status.partial-1");
    let late = crate::files::whole(&file, &partial, b"late", || {
        forget(folder, &gone);
        let (_next, lease) = taken(folder);
        lease.fence().write_whole(&file, b"2").unwrap();
        crate::TrialFolder::at(folder.to_owned()).guarded(lease.fence()).sweep().unwrap();
        lost.fence().check()
    });
    assert!(late.unwrap_err().to_string().contains("taken over by"));
    assert_eq!(std::fs::read(&file).unwrap(), b"2");
    assert!(!partial.exists(), "the next holder sweeps");
}

#[test]
fn runners_that_work_at_the_same_time_are_one_session_and_jobs_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let first = Runner::join(folder.path(), None).unwrap();
    let second = Runner::join(folder.path(), None).unwrap();
    assert_eq!(first.card().session, first.card().id);
    assert_eq!(second.card().session, first.card().id);
    assert_eq!(Runner::join(folder.path(), Some("given")).unwrap().card().session, "given");
    let job = Some("Slurm job 7_3".to_owned());
    let card = Card { host: "n1".into(), pid: 9, job, ..first.card().clone() };
    assert_eq!(card.to_string(), "process 9 on n1, Slurm job 7_3");
    drop((first, second));
    assert!(present(folder.path()).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(folder.path().join("runners")).unwrap().count(), 0);
}

#[test]
fn turns_are_taken_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let inside = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runner = Runner::join(folder, None).unwrap();
                for _ in 0..5 {
                    let turn = runner.turn(&mut Others::of(folder), |_| true).unwrap().unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                    turn.fence().check().unwrap();
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(claim::highest(&folder.join("runners"), TURN).unwrap().unwrap().0, 20);
    let (first, second) = (Runner::join(folder, None).unwrap(), Runner::join(folder, None).unwrap());
    let held = first.turn(&mut Others::of(folder), |_| true).unwrap().unwrap();
    assert!(second.turn(&mut Others::of(folder), |_| false).unwrap().is_none(), "whoever waits may stop");
    std::mem::forget(held); // as if it could not be given back
    let again = first.turn(&mut Others::of(folder), |_| false).unwrap().expect("nobody waits for itself");
    assert_eq!(again.fence().attempt(), 22);
}

/// The fence asks by the file's identity: it is read once, and again whenever another file, or a change, is there.
#[test]
fn a_file_that_is_unchanged_is_read_once_and_any_other_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("lease.1");
    let (_runner, lease) = taken(folder.path());
    let fence = Fence::of_trial(folder.path(), lease.fence().holder().clone());
    (0..1000).for_each(|_| fence.check().unwrap());
    assert_eq!(fence.reads.load(Ordering::Relaxed), 1);

    // the same bytes in another file, as long as before: another file is read
    let text = std::fs::read(&own).unwrap();
    std::fs::write(folder.path().join("other"), &text).unwrap();
    std::fs::rename(folder.path().join("other"), &own).unwrap();
    fence.check().unwrap();
    assert_eq!(fence.reads.load(Ordering::Relaxed), 2);

    // a change in place, and one that keeps the time of modification
    let written = std::fs::metadata(&own).unwrap().modified().unwrap();
    std::thread::sleep(Duration::from_millis(20)); // longer than a tick of the file system's clock
    let stranger = Holder { pid: 1, ..lease.fence().holder().clone() };
    std::fs::write(&own, serde_json::to_string(&stranger).unwrap()).unwrap();
    File::options().append(true).open(&own).unwrap().set_modified(written).unwrap();
    assert!(fence.check().unwrap_err().to_string().contains("taken over by process 1 "));

    std::fs::write(&own, "nobody").unwrap();
    assert!(fence.check().unwrap_err().to_string().contains("names no runner"));
    std::fs::remove_file(&own).unwrap();
    assert!(fence.check().unwrap_err().to_string().contains("gone"));
    std::fs::write(&own, text).unwrap();
    fence.check().unwrap(); // the holder's own, put back
}

/// A worker whose runner died is frozen through many takeovers, each of which may be given an inode that was free again.
#[test]
fn a_process_that_is_frozen_through_many_takeovers_stays_fenced() {
    let folder = tempfile::tempdir().unwrap();
    let (runner, first) = taken(folder.path());
    let worker = Fence::of_trial(folder.path(), first.fence().holder().clone());
    worker.check().unwrap();
    drop(first);
    for _ in 0..50 {
        drop(take(&runner, folder.path()).unwrap());
        let lost = worker.check().unwrap_err().to_string();
        assert!(lost.contains("taken over by") || lost.contains("gone"), "{lost}");
    }
}

/// Without its files the attempts count from 1 again: a runner is known by more than its attempt.
#[test]
fn a_holder_whose_files_were_removed_is_fenced_by_the_next_first_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let (_runner, first) = taken(folder.path());
    std::fs::remove_file(folder.path().join("lease.1")).unwrap();
    let (_other, second) = taken(folder.path());
    assert_eq!(second.fence().attempt(), 1);
    assert!(first.fence().check().unwrap_err().to_string().contains("taken over by process"));
}

/// A trial of ten seconds may spend a tenth of a second on leases, which is a hundredth: also the last of a thousand, when other
/// runners hold all before it.
#[test]
fn the_last_of_a_thousand_trials_is_taken_and_given_back_in_a_tenth_of_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let trial = |number: usize| folder.path().join(format!("trials/a/seed-{number}"));
    let (first, second) = (Runner::join(folder.path(), None).unwrap(), Runner::join(folder.path(), None).unwrap());
    let mut others = Others::of(folder.path());
    let mut take = |runner: &Runner, number| match runner.take(&trial(number), &mut others).unwrap() {
        Claim::Taken(lease) => Some(lease),
        Claim::Held(_) => None,
    };
    let begun = Instant::now();
    let held: Vec<Lease> = (0..999).map(|number| take(&first, number).unwrap()).collect();
    let each = begun.elapsed() / 999;
    let mut scan = || {
        let begun = Instant::now();
        drop((0..1000).find_map(|number| take(&second, number)).unwrap());
        begun.elapsed()
    };
    let quickest = (0..5).map(|_| scan()).min().unwrap(); // the machine may be busy
    println!("{each:?} to take a trial, {quickest:?} to pass 999 that are held, take the last and give it back");
    assert!(quickest < Duration::from_millis(100), "{quickest:?}");
    assert_eq!(held.len(), 999);
}
