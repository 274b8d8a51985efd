//! The loop: read the files, draw, wait for a key.

use super::draw::draw;
use super::screen::{Next, Screen};
use ratatui::DefaultTerminal;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::crossterm::execute;
use regatta_study::Watched;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use std::io;
use std::time::{Duration, Instant, SystemTime};

/// Time between two reads.
const TICK: Duration = Duration::from_secs(1);
/// Bytes of lines that are read before keys are handled again: a fraction of a second's work.
const BUDGET: usize = 8 << 20;

/// The terminal, restored when this is dropped.
struct Borrowed(DefaultTerminal);

impl Borrowed {
    /// Also makes a panic restore the terminal before it prints its message.
    fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| drop(ratatui::try_restore()))
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let _ = ratatui::try_restore(); // of a terminal that is gone nothing needs to be restored
    }
}

/// Shows the study until the user or a signal ends it.
///
/// # Errors
/// When the terminal cannot be used.
pub(super) fn live(mut watched: Watched) -> io::Result<()> {
    leave_on_signals()?;
    let mut terminal = Borrowed::take()?;
    let mut screen = Screen::default();
    let mut due = Instant::now();
    loop {
        if due <= Instant::now() {
            let has_more = watched.refresh(SystemTime::now(), BUDGET);
            due = Instant::now() + if has_more { Duration::ZERO } else { TICK };
        }
        terminal.0.draw(|frame| draw(frame, &watched, &mut screen))?;
        let mut patience = due.saturating_duration_since(Instant::now());
        while event::poll(patience)? {
            patience = Duration::ZERO; // what else was pressed until now counts before the next picture
            let Event::Key(key) = event::read()? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            match screen.press(&key, &watched) {
                Next::Stay => {}
                Next::Leave => return Ok(()),
                Next::Suspend => {
                    drop(terminal);
                    signal_hook::low_level::emulate_default_handler(SIGTSTP)?; // returns when the shell says `fg`
                    terminal = Borrowed::take()?;
                }
            }
        }
    }
}

/// Restores the terminal and ends the program on a signal. In a thread of its own: on a terminal that hung up, waiting for keys
/// never returns.
fn leave_on_signals() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _ = ratatui::try_restore();
            let _ = execute!(io::stdout(), Show);
            std::process::exit(0);
        }
    });
    Ok(())
}
