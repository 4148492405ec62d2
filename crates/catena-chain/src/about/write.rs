//! Which settings of optimizers a callback moves.
use serde::{Deserialize, Serialize};

/// A setting of an optimizer's groups that a callback moves: which, of which group, in which stage.
///
/// Two callbacks that set one setting of one group in one stage are refused at `build()`, and so are two that scale it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The setting's name, such as `lr`.
    pub setting: String,
    /// The pattern of the one group; none for every group.
    pub group: Option<String>,
    /// The name of the one stage; none for every stage that the callback takes part in.
    pub stage: Option<String>,
    /// Whether it sets the value, or multiplies what another callback sets.
    pub how: Writes,
}

/// How a callback moves a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Writes {
    /// It sets the value.
    Sets,
    /// It multiplies the value that another callback sets, or the one that is there.
    Scales,
}

impl Write {
    /// Whether it moves the setting in the stage of this name.
    pub fn is_in(&self, stage: &str) -> bool {
        self.stage.as_deref().is_none_or(|own| own == stage)
    }

    /// Whether both move one setting of one group in the same way.
    ///
    /// ```
    /// use catena_chain::About;
    ///
    /// let head = About::named("a").sets("lr", Some("head.*")).writes.remove(0);
    /// let all = About::named("b").sets("lr", None).writes.remove(0);
    /// let scales = About::named("c").scales("lr", None).writes.remove(0);
    /// assert!(head.collides(&all) && !head.collides(&scales));
    /// ```
    pub fn collides(&self, other: &Self) -> bool {
        // rules without a momentum have a first beta in its place
        let of = |setting: &str| if setting == "beta1" { "momentum".to_owned() } else { setting.to_owned() };
        let same_group = self.group.is_none() || other.group.is_none() || self.group == other.group;
        self.how == other.how && same_group && of(&self.setting) == of(&other.setting)
    }
}
