//! A proxy beside something that authctl runs itself: what it lends, and where.

use std::path::PathBuf;

use super::lend::{self, Loan, Missing};
use super::serve::{Running, Start};
use super::typed;
use crate::commands::handing::Handings;
use crate::commands::holding;
use crate::commands::purpose::Purpose;
use crate::context::{Context, Named};
use crate::credential::Name;
use crate::error::{CommandError, Kind};
use crate::listen::Sockets;
use crate::secret::Secret;

/// A credential that is lent.
pub struct Offer {
    pub named: Named,
    /// What stands for the provider's base URL.
    pub url: String,
    /// What opens it, and it alone; in the shape of the credential.
    pub stand_in: Secret,
    /// The variable of the credential's kind.
    pub variable: Option<String>,
    /// Somebody is signed in.
    pub is_held: bool,
}

/// A proxy at work.
pub struct Beside {
    running: Running,
    pub offers: Vec<Offer>,
}

impl Beside {
    /// Starts to lend to `program`. Where nobody is signed in, requests go on without until somebody is.
    pub fn start(
        context: &Context,
        handings: &Handings,
        purpose: &Purpose,
        program: Option<PathBuf>,
    ) -> Result<Self, CommandError> {
        Self::start_at(context, handings, purpose, program, None)
    }

    /// The same, with the names leading to `server`, where the credentials may go.
    pub fn start_at(
        context: &Context,
        handings: &Handings,
        purpose: &Purpose,
        program: Option<PathBuf>,
        server: Option<&str>,
    ) -> Result<Self, CommandError> {
        let options = holding::quiet(context);
        let typed = typed::Arguments::default();
        let mut loans =
            lend::loans(context, &options, handings, purpose, (&typed, Missing::Unsaid))?;
        for loan in &mut loans {
            loan.at = server.map(str::to_owned);
        }
        let sockets = Sockets::bind(None).map_err(|error| {
            CommandError::new(Kind::Failed, format!("cannot listen on this computer: {error}"))
        })?;
        let own = loans.iter().filter(|loan| !loan.is_companion);
        let offers = own.map(|loan| offer(loan, sockets.port())).collect();
        let authority = lend::authority(&loans)?;
        let start = Start {
            options,
            command_line: context.command_line,
            loans,
            key: Secret::random(),
            authority: authority.into(),
            takes_secret_in_path: false,
            is_strict: true,
            // The address is not a person's, but what an agent makes of it.
            says_strays: false,
            program: program.map(|program| program.to_string_lossy().into_owned()),
        };
        Ok(Self { running: Running::start(start, sockets), offers })
    }

    pub fn offer(&self, name: &Name) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.named.name == *name)
    }

    /// Ends it, and writes the last lines of the log.
    pub fn end(self) -> Result<(), CommandError> {
        self.running.end()
    }
}

fn offer(loan: &Loan, port: u16) -> Offer {
    let schemes = &loan.provider.schemes;
    let scheme = loan.held.as_ref().map(|held| &held.scheme).or(schemes.first());
    Offer {
        url: format!("http://127.0.0.1:{port}/{}", loan.name()),
        named: loan.named.clone(),
        stand_in: loan.placeholder.clone(),
        variable: scheme.and_then(|scheme| scheme.variables.first()).cloned(),
        is_held: loan.held.is_some(),
    }
}
