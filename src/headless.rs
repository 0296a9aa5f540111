//! Whether a browser of this machine can come before the eyes of whoever signs in: not over SSH, not in
//! a container, not without a display, and not where nobody sits at a terminal. `BROWSER` names one that
//! was chosen, and is believed. What is looked at is handed in.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

/// Why no browser of this machine is expected to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headless {
    Ssh,
    Container,
    NoDisplay,
    /// Nobody can be asked: no terminal, or `--no-input`.
    NoTerminal,
}

impl fmt::Display for Headless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Headless::Ssh => "this is a session over SSH",
            Headless::Container => "this is a container",
            Headless::NoDisplay => "there is no display",
            Headless::NoTerminal => "there is no terminal to ask at",
        })
    }
}

/// What `BROWSER` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Browser {
    /// Nothing: the desktop's own.
    Unnamed,
    /// A program that shows pages.
    Chosen,
    /// `echo`: the address is printed, and a person opens it somewhere.
    Printed,
}

/// Where a login runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    pub headless: Option<Headless>,
    pub browser: Browser,
}

impl Surroundings {
    /// Looks around: environment variables, files that container runtimes make, and whether a person
    /// can be asked.
    pub fn look(
        variable: &dyn Fn(&str) -> Option<OsString>,
        exists: &dyn Fn(&Path) -> bool,
        can_ask: bool,
    ) -> Self {
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let headless = if ["SSH_CONNECTION", "SSH_TTY"].into_iter().any(is_set) {
            Some(Headless::Ssh)
        } else if cfg!(target_os = "linux") && is_container(&is_set, exists) {
            Some(Headless::Container)
        } else if cfg!(target_os = "linux") && !has_display(&is_set) {
            Some(Headless::NoDisplay)
        } else {
            (!can_ask).then_some(Headless::NoTerminal)
        };
        Self { headless, browser: browser(variable("BROWSER")) }
    }

    /// Why a login should not count on a browser; a chosen one can be counted on.
    pub fn without_browser(self) -> Option<Headless> {
        self.headless.filter(|_| self.browser == Browser::Unnamed)
    }
}

/// Docker and Podman leave a file. Toolbx and Distrobox are containers that share the desktop.
fn is_container(is_set: &dyn Fn(&str) -> bool, exists: &dyn Fn(&Path) -> bool) -> bool {
    let marks = ["/.dockerenv", "/run/.containerenv"];
    let shares_desktop = exists(Path::new("/run/.toolboxenv")) || is_set("DISTROBOX_ENTER_PATH");
    !shares_desktop && marks.iter().any(|mark| exists(Path::new(mark)))
}

/// X11, Wayland, or Windows around WSL, whose browsers WSL's opener starts.
fn has_display(is_set: &dyn Fn(&str) -> bool) -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "WSL_INTEROP"].into_iter().any(is_set)
}

/// `BROWSER` is a list with `:` in between, each a command line; the first counts here.
fn browser(value: Option<OsString>) -> Browser {
    let value = value.unwrap_or_default();
    let value = value.to_string_lossy();
    let Some(first) = value.split(':').find(|command| !command.trim().is_empty()) else {
        return Browser::Unnamed;
    };
    let program = first.split_ascii_whitespace().next().unwrap_or_default();
    let is_echo = Path::new(program).file_name().is_some_and(|name| name == "echo");
    if is_echo { Browser::Printed } else { Browser::Chosen }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(variables: &[(&str, &str)], files: &[&str], can_ask: bool) -> Surroundings {
        let variable = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Surroundings::look(
            &variable,
            &|path| files.iter().any(|file| path == Path::new(file)),
            can_ask,
        )
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn each_reason_is_found_by_its_mark() {
        let desk = ("DISPLAY", ":0");
        for (variables, files, can_ask, expected) in [
            (&[desk][..], &[][..], true, None),
            (&[("WAYLAND_DISPLAY", "wayland-0")], &[], true, None),
            (&[("WSL_DISTRO_NAME", "Debian")], &[], true, None),
            (&[("WSL_INTEROP", "/run/WSL/1_interop")], &[], true, None),
            (&[], &[], true, Some(Headless::NoDisplay)),
            (&[("DISPLAY", "")], &[], true, Some(Headless::NoDisplay)),
            (&[desk], &[], false, Some(Headless::NoTerminal)),
            // X11 forwarding shows windows at the other end, where 127.0.0.1 is another machine.
            (&[desk, ("SSH_CONNECTION", "a 1 b 22")], &[], true, Some(Headless::Ssh)),
            (&[desk, ("SSH_TTY", "/dev/pts/0")], &[], true, Some(Headless::Ssh)),
            (&[desk], &["/.dockerenv"], true, Some(Headless::Container)),
            (&[], &["/run/.containerenv"], true, Some(Headless::Container)),
            (&[desk], &["/run/.containerenv", "/run/.toolboxenv"], true, None),
            (&[desk, ("DISTROBOX_ENTER_PATH", "/x")], &["/run/.containerenv"], true, None),
        ] {
            let found = look(variables, files, can_ask);
            assert_eq!(found.headless, expected, "{variables:?} {files:?} {can_ask}");
            assert_eq!(found.without_browser(), expected);
        }
    }

    #[test]
    fn a_chosen_browser_is_believed_anywhere() {
        let over_ssh =
            |browser| look(&[("SSH_TTY", "/dev/pts/0"), ("BROWSER", browser)], &[], false);
        for (value, expected) in [
            ("firefox", Browser::Chosen),
            (":/usr/bin/w3m %s:lynx", Browser::Chosen),
            ("/opt/echoes/browser", Browser::Chosen),
            ("echo", Browser::Printed),
            ("/bin/echo %s", Browser::Printed),
        ] {
            let found = over_ssh(value);
            assert_eq!((found.browser, found.without_browser()), (expected, None), "{value}");
            assert_eq!(found.headless, Some(Headless::Ssh), "the place stays what it is");
        }
        for value in ["", " ", ":"] {
            assert_eq!(over_ssh(value).without_browser(), Some(Headless::Ssh), "{value:?}");
        }
    }
}
