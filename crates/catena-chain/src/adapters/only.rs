//! A callback that hears one loader, mode or stage only.
use super::adapted::Adapter;
use crate::about::About;
use crate::context::Context;
use crate::event::Event;
use crate::only::Only;

impl Adapter for Only {
    fn change(&self, about: &mut About) {
        if let Self::Stage(name) = self {
            about.writes.iter_mut().for_each(|write| write.stage = Some(name.clone()));
        }
        about.adapters.push(self.to_string());
        about.only.push(self.clone());
    }

    fn lets_through(&mut self, event: Event, cx: &Context) -> bool {
        let of_run = matches!(event, Event::RunStart | Event::RunEnd | Event::Exception);
        let of_loader = event.is_of_batch() || matches!(event, Event::LoaderStart | Event::LoaderEnd);
        match self {
            Self::Mode(mode) => !of_loader || cx.mode() == *mode,
            Self::Loader(name) => !of_loader || cx.loader() == name,
            Self::Stage(name) => of_run || cx.stage() == name,
            Self::Pass(name) => !event.is_of_pass() || cx.pass() == name,
        }
    }
}
