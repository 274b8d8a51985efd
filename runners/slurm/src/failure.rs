//! What goes wrong with a call of Slurm, told by its words: its programs have no other exit status than 1.

/// A call of Slurm failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlurmError {
    /// The program is not there.
    #[error(
        "{program}: not found: expected a machine from which Slurm can be reached; its programs may need a module to be loaded"
    )]
    Missing {
        /// Its name.
        program: String,
    },
    /// Slurm refused, or could not be reached.
    #[error("{program}: {message}")]
    Refused {
        /// The program that was called.
        program: String,
        /// What it wrote to stderr.
        message: String,
    },
}

impl SlurmError {
    /// Whether the same call may succeed in a while: the controller restarts or is overloaded.
    pub(crate) fn is_passing(&self) -> bool {
        const WORDS: [&str; 8] = [
            "socket timed out",
            "unable to contact slurm controller",
            "connection timed out",
            "resource temporarily unavailable",
            "temporarily unable to accept job",
            "zero bytes were transmitted or received",
            "in standby mode",
            "unexpected message received",
        ];
        self.says(&WORDS)
    }

    /// Whether fewer tasks may be accepted. Sites word their limits on submitted jobs in several ways, some of which also stand for
    /// limits on a job's size.
    pub(crate) fn is_too_many(&self) -> bool {
        const WORDS: [&str; 5] = [
            "invalid job array specification",
            "maxsubmitjob",
            "job submit limit",
            "violates accounting/qos policy",
            "temporarily unable to accept job",
        ];
        self.says(&WORDS)
    }

    /// Whether Slurm no longer knows the job: it forgets jobs minutes after their end.
    pub(crate) fn is_unknown_job(&self) -> bool {
        self.says(&["invalid job id"])
    }

    fn says(&self, words: &[&str]) -> bool {
        let Self::Refused { message, .. } = self else { return false };
        let message = message.to_lowercase();
        words.iter().any(|words| message.contains(words))
    }
}
