//! A browser's window: what a person does there, and what is seen.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use thirtyfour::error::{WebDriverErrorInner, WebDriverResult};
use thirtyfour::{By, WebDriver, WebElement};

use crate::chromium::Chromium;
use crate::patience::{say, until};

/// Where pictures for the documentation are to be written; none: they are looked
/// at by nobody, and forgotten.
const PICTURES: &str = "SEGUE_PICTURES";

/// What somebody looks at a page with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    width: u32,
    height: u32,
    is_phone: bool,
}

impl Screen {
    /// A window on a desk.
    pub(crate) const DESK: Self = Self { width: 1280, height: 900, is_phone: false };
    /// One that shows a page from its head to its figures, for pictures.
    pub(crate) const TALL: Self = Self { width: 1280, height: 1180, is_phone: false };
    /// A small phone, held upright.
    pub(crate) const PHONE: Self = Self { width: 375, height: 700, is_phone: true };
}

/// How somebody likes pages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Colours {
    Light,
    Dark,
}

/// A window with a profile of its own.
pub(crate) struct Window {
    chromium: Chromium,
}

impl Window {
    /// Opens one, unless there is no browser here.
    pub(crate) fn open(screen: Screen) -> Option<Self> {
        let Screen { width, height, is_phone } = screen;
        let window = Self { chromium: Chromium::start((width, height))? };
        // So large is what the page has, without the window's own parts.
        let dots = if is_phone { 2 } else { 1 };
        let screen = json!({
            "width": width,
            "height": height,
            "deviceScaleFactor": dots,
            "mobile": is_phone,
        });
        window.devtools("Emulation.setDeviceMetricsOverride", screen);
        Some(window)
    }

    /// Goes to an address, and waits until the page is there.
    pub(crate) fn go(&self, url: &str) {
        self.chromium.drive(async |window| window.goto(url).await);
    }

    /// Where it is.
    pub(crate) fn place(&self) -> String {
        self.chromium.drive(async |window| window.current_url().await).to_string()
    }

    /// The name of the tab that is seen, to come back to it.
    pub(crate) fn tab(&self) -> thirtyfour::WindowHandle {
        self.chromium.drive(async |window| window.window().await)
    }

    /// Opens another tab, which is then the one that is seen.
    pub(crate) fn open_tab(&self) -> thirtyfour::WindowHandle {
        self.chromium.drive(async |window| {
            let tab = window.new_tab().await?;
            window.switch_to_window(tab.clone()).await?;
            Ok(tab)
        })
    }

    /// Looks at that tab.
    pub(crate) fn turn_to(&self, tab: &thirtyfour::WindowHandle) {
        self.chromium.drive(async |window| window.switch_to_window(tab.clone()).await);
    }

    /// Clicks on what the selector names, where a person would.
    pub(crate) fn click(&self, selector: &str) {
        self.act(selector, async |element| element.click().await);
    }

    /// Writes into the field that the selector names, instead of what it has.
    pub(crate) fn write(&self, selector: &str, text: &str) {
        self.act(selector, async |element| {
            element.clear().await?;
            element.send_keys(text).await
        });
    }

    /// Presses keys wherever the focus is.
    pub(crate) fn press(&self, keys: impl Into<thirtyfour::TypingData>) {
        let keys = keys.into();
        self.chromium.drive(async |window| window.action_chain().send_keys(keys).perform().await);
    }

    /// What a program in the page gives: the body of a function.
    pub(crate) fn run(&self, program: &str) -> Value {
        self.chromium
            .drive(async |window| Ok(window.execute(program, Vec::new()).await?.json().clone()))
    }

    /// The same for one that answers later: it is a promise that it returns.
    pub(crate) fn run_to_its_end(&self, program: &str) -> Value {
        let program = format!(
            "const done = arguments[arguments.length - 1];
             (async () => {{ {program} }})().then(done, (error) => done('failed: ' + error));"
        );
        self.chromium.drive(async |window| {
            Ok(window.execute_async(program.as_str(), Vec::new()).await?.json().clone())
        })
    }

    /// Waits until an expression is true in the page.
    pub(crate) fn until(&self, expression: &str) {
        let program = format!("return Boolean({expression})");
        let look = || (self.run(&program) == Value::Bool(true)).then_some(());
        until(look, || format!("{expression} at {}:\n{}", self.place(), self.text("body")));
    }

    /// The text that the selector's first element shows.
    pub(crate) fn text(&self, selector: &str) -> String {
        let selector = selector.to_owned();
        self.chromium.drive(async |window| window.find(By::Css(selector)).await?.text().await)
    }

    /// Has pages told that they are liked so.
    pub(crate) fn prefer(&self, colours: Colours) {
        let value = match colours {
            Colours::Light => "light",
            Colours::Dark => "dark",
        };
        let preferred = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", preferred);
    }

    /// Whether programs in pages run.
    pub(crate) fn allow_programs(&self, allowed: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": !allowed }));
    }

    /// What pages, or the browser about them, have complained of since this was
    /// last asked.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.chromium.drive(async |window| window.get_log("browser").await);
        let severe = |level: &str| ["WARNING", "SEVERE"].contains(&level);
        log.into_iter().filter(|it| severe(&it.level)).map(|it| it.message).collect()
    }

    /// The addresses of all that was asked for since this was last asked.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = self.chromium.drive(async |window| window.get_log("performance").await);
        let events = log.iter().filter_map(|it| serde_json::from_str::<Value>(&it.message).ok());
        let url = |event: Value| {
            let sent = event.pointer("/message/method")? == "Network.requestWillBeSent";
            let url = event.pointer("/message/params/request/url")?.as_str()?;
            // What the browser or the page has in itself is asked of nobody.
            let is_of_network = ["http", "ws", "ftp"].iter().any(|scheme| url.starts_with(scheme));
            (sent && is_of_network).then(|| url.to_owned())
        };
        events.filter_map(url).collect()
    }

    /// Takes a picture of what is seen. With `SEGUE_PICTURES=docs/images` (from the
    /// root of the repository) it is kept there by that name.
    pub(crate) fn picture(&self, name: &str) -> Vec<u8> {
        let picture = self.chromium.drive(async |window| window.screenshot_as_png().await);
        if let Some(folder) = std::env::var_os(PICTURES) {
            let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
            let path = root.join(folder).join(name);
            fs::create_dir_all(path.parent().expect("it has a folder")).unwrap();
            fs::write(&path, &picture).unwrap();
            say(&format!("written: {}", path.display()));
        }
        picture
    }

    /// What its browser has written.
    pub(crate) fn folder(&self) -> PathBuf {
        self.chromium.place().to_owned()
    }

    /// The numbers of its processes.
    pub(crate) fn pids(&self) -> [u32; 2] {
        self.chromium.pids()
    }

    /// Does something to what the selector names, as soon as that can be done.
    fn act(&self, selector: &str, what: impl AsyncFn(&WebElement) -> WebDriverResult<()>) {
        let attempt = async |window: &WebDriver| {
            let done = async { what(&window.find(By::Css(selector.to_owned())).await?).await };
            match done.await {
                Ok(()) => Ok(Some(())),
                // A page that is being drawn anew has it in a moment.
                Err(error) if is_of_the_moment(error.as_inner()) => Ok(None),
                Err(error) => Err(error),
            }
        };
        until(|| self.chromium.drive(attempt), || format!("{selector} at {}", self.place()));
    }

    /// Tells Chromium what no person could.
    fn devtools(&self, method: &str, parameters: Value) {
        self.chromium.drive(async |window| window.cdp().send_raw(method, parameters).await);
    }
}

/// Whether it may be otherwise when the page has been drawn.
const fn is_of_the_moment(error: &WebDriverErrorInner) -> bool {
    matches!(
        error,
        WebDriverErrorInner::NoSuchElement(_)
            | WebDriverErrorInner::StaleElementReference(_)
            | WebDriverErrorInner::ElementNotInteractable(_)
            | WebDriverErrorInner::ElementClickIntercepted(_)
    )
}
