use std::sync::{Arc, Mutex, PoisonError};

use time::{Duration, OffsetDateTime};

/// What time it is: this computer's time, and for a test as far ahead of it as the test moved it. All clones of a clock
/// move together. Waiting is not its business, nor how long something took: both are tokio's.
#[derive(Clone, Debug)]
pub struct Clock {
    ahead: Arc<Mutex<Duration>>,
}

impl Clock {
    /// This computer's clock.
    pub fn system() -> Clock {
        Clock { ahead: Arc::new(Mutex::new(Duration::ZERO)) }
    }

    /// The time, in UTC.
    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For tests: moves this clock and its clones, and no other.
    pub fn advance(&self, by: Duration) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_move_together_and_other_clocks_stay() {
        let (moved, other) = (Clock::system(), Clock::system());
        let clone = moved.clone();
        moved.advance(Duration::days(1000));
        moved.advance(Duration::days(95));
        let ahead = clone.now() - other.now();
        assert!((ahead - Duration::days(1095)).abs() < Duration::MINUTE, "{ahead}");
    }
}
