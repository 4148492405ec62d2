//! The events of a run: the loop, as an outline.
use strum::{Display, IntoStaticStr, VariantArray};

/// Everything that callbacks are told, in the order in which it happens:
///
/// ```text
/// run_start
///   stage_start
///     epoch_start
///       loader_start                 each loader of the stage; its mode is Train, Eval or Infer
///         batch_start                the batch is there
///           for each pass of the stage (one, "main", unless the stage says otherwise)
///             forward                the outputs are set
///             loss                   cx.loss is set (Train and Eval)
///             backward               the micro-batch's gradients are added (Train)
///             step                   the window closes and the optimizer updates (Train)
///         batch_end                  then a safe point, if Train
///       loader_end
///     epoch_end                      then a safe point
///   stage_end                        then a safe point
/// run_end                            then a safe point
/// exception                          an error or a panic is about to end the run
/// ```
///
/// An event is heard in the order of [`Phase`](crate::Phase), then of insertion; end events in the same order. What the
/// outline says of an event is done *by* its callbacks: those of later phases find it done. At a safe point the runner runs the
/// evaluations that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Display, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the outline above says what each one is")]
pub enum Event {
    RunStart,
    StageStart,
    EpochStart,
    LoaderStart,
    BatchStart,
    Forward,
    Loss,
    Backward,
    Step,
    BatchEnd,
    LoaderEnd,
    EpochEnd,
    StageEnd,
    RunEnd,
    Exception,
}

impl Event {
    /// Every event, in the order of the outline.
    pub const ALL: [Self; 15] = match Self::VARIANTS.first_chunk() {
        Some(all) => *all,
        None => panic!("another number of events"),
    };

    /// The name in the outline, such as `batch_start`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether it is one of a pass: `forward`, `loss`, `backward` or `step`.
    pub const fn is_of_pass(self) -> bool {
        matches!(self, Self::Forward | Self::Loss | Self::Backward | Self::Step)
    }

    /// Whether it belongs to a batch.
    pub const fn is_of_batch(self) -> bool {
        matches!(
            self,
            Self::BatchStart | Self::Forward | Self::Loss | Self::Backward | Self::Step | Self::BatchEnd
        )
    }
}

/// A set of events: what a callback hears.
///
/// ```
/// use catena_chain::{Event, Events};
///
/// let hears = Events::of(&[Event::Loss, Event::EpochEnd]);
/// assert!(hears.contains(Event::Loss) && !hears.contains(Event::Step));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events(u16);

impl Events {
    /// Every event.
    pub const ALL: Self = Self::of(&Event::ALL);

    /// These events.
    pub const fn of(events: &[Event]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < events.len() {
            bits |= 1 << events[i] as u16;
            i += 1;
        }
        Self(bits)
    }

    /// Whether the event is one of them.
    pub const fn contains(self, event: Event) -> bool {
        self.0 & (1 << event as u16) != 0
    }

    /// All but this one.
    #[must_use]
    pub const fn without(self, event: Event) -> Self {
        Self(self.0 & !(1 << event as u16))
    }

    /// Those of either set.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl<const N: usize> From<[Event; N]> for Events {
    fn from(events: [Event; N]) -> Self {
        Self::of(&events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_holds_every_event_once_in_order() {
        assert_eq!(Event::ALL, Event::VARIANTS);
        assert!(Event::ALL.iter().enumerate().all(|(i, &event)| event as usize == i));
        assert!(Event::ALL.iter().all(|&event| Events::ALL.contains(event)));
    }
}
