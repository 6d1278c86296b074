//! Says on stderr what goes on and how long it will take: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a bar moves.
const BAR_PERIOD: Duration = Duration::from_millis(200);
/// How often a line is written where there is no terminal.
const LINE_PERIOD: Duration = Duration::from_secs(15);

/// The progress of one run.
#[derive(Debug, Default)]
pub struct Progress {
    quiet: bool,
    cells: Mutex<usize>,
}

/// How far a cell has come.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Position {
    /// Of work, by the unit costs.
    pub seconds: f64,
    /// In words; may be empty.
    pub stage: String,
}

/// Tells how far a cell has come.
pub type Done = Box<dyn Fn() -> Position + Send>;

impl Progress {
    /// Silent when `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, cells: Mutex::new(0) }
    }

    /// Writes a line to stderr.
    pub fn note(&self, line: &str) {
        if !self.quiet {
            // Nothing can be done about a stderr that is gone.
            drop(writeln!(std::io::stderr().lock(), "{line}"));
        }
    }

    /// A run begins.
    pub fn start(&self, name: &str, cells: usize, cached: usize, seconds: f64) {
        *self.cells.lock().unwrap_or_else(PoisonError::into_inner) = cells;
        if cached == cells {
            self.note(&format!("{name}: all {cells} cells served from cache (--fresh computes them again)"));
        } else {
            let from_cache =
                if cached > 0 { format!(", {cached} of them from cache") } else { String::new() };
            let time = match seconds {
                s if s > 0.0 => format!(", about {} under encryption", human(s)),
                _ => String::new(),
            };
            self.note(&format!("{name}: {cells} cells{from_cache}{time}"));
        }
    }

    /// A cell begins; it is expected to take `seconds` of which `done` tells how many are done.
    pub fn cell(&self, number: usize, name: &str, seconds: f64, done: Done) -> Ticket {
        let cells = *self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let title = format!("[{}/{cells}] {name}", number + 1);
        let stop = Arc::new(AtomicBool::new(false));
        let terminal = std::io::stderr().is_terminal();
        let watcher = (!self.quiet && seconds > 1.0).then(|| {
            let (title, stop) = (title.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                if terminal {
                    draw_bar(&title, seconds, &done, &stop);
                } else {
                    write_lines(&title, seconds, &done, &stop);
                }
            })
        });
        Ticket { title, started: Instant::now(), quiet: self.quiet, stop, watcher }
    }

    /// A file is being fetched.
    pub fn transfer(&self, what: &str, done: u64, total: Option<u64>) {
        if self.quiet || !std::io::stderr().is_terminal() {
            return;
        }
        let of = total.map(|total| format!(" of {}", HumanBytes(total))).unwrap_or_default();
        drop(write!(std::io::stderr().lock(), "\r\x1b[2K{what}: {}{of}", HumanBytes(done)));
    }

    /// The line of a transfer is over.
    pub fn transfer_done(&self) {
        if !self.quiet && std::io::stderr().is_terminal() {
            drop(writeln!(std::io::stderr().lock()));
        }
    }
}

/// A cell in progress; the bar ends when it is dropped.
#[derive(Debug)]
pub struct Ticket {
    title: String,
    started: Instant,
    quiet: bool,
    stop: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Ticket {
    /// The cell is finished.
    pub fn done(mut self) {
        self.halt();
        if !self.quiet {
            let took = human(self.started.elapsed().as_secs_f64());
            drop(writeln!(std::io::stderr().lock(), "{}: {took}", self.title));
        }
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            watcher.thread().unpark();
            // A watcher that panicked has nothing more to say.
            drop(watcher.join());
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.halt();
    }
}

fn draw_bar(title: &str, seconds: f64, done: &Done, stop: &AtomicBool) {
    const STEPS: u64 = 1000;
    let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta} left") {
        bar.set_style(style);
    }
    while !stop.load(Ordering::Relaxed) {
        let position = done();
        bar.set_message(titled(title, &position.stage));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of STEPS")]
        bar.set_position((share(position.seconds, seconds) * STEPS as f64) as u64);
        std::thread::park_timeout(BAR_PERIOD);
    }
    bar.finish_and_clear();
}

fn write_lines(title: &str, seconds: f64, done: &Done, stop: &AtomicBool) {
    let started = Instant::now();
    let mut next = LINE_PERIOD;
    while !stop.load(Ordering::Relaxed) {
        std::thread::park_timeout(BAR_PERIOD);
        if started.elapsed() < next {
            continue;
        }
        next += LINE_PERIOD;
        let position = done();
        let share = share(position.seconds, seconds);
        let title = titled(title, &position.stage);
        let left =
            if share > 0.0 { started.elapsed().as_secs_f64() * (1.0 - share) / share } else { seconds };
        let line = format!("{title}: {:.0} %, about {} left", share * 100.0, human(left));
        drop(writeln!(std::io::stderr().lock(), "{line}"));
    }
}

fn titled(title: &str, stage: &str) -> String {
    if stage.is_empty() { title.to_owned() } else { format!("{title} ({stage})") }
}

fn share(done: f64, of: f64) -> f64 {
    (done / of).clamp(0.0, 1.0)
}

/// A time as people say it.
pub fn human(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} us", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
