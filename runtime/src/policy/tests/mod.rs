//! Whole policy files against the functions of a small program.

mod explained;
mod precedence;
mod reference;
mod refused;

use std::path::Path;
use std::time::Duration;

use super::environment::Environment;
use super::problem::PolicyError;
use super::set::PolicySet;
use super::settings::Policy;
use crate::site::Site;

static FETCH: Site = Site::timeout_async("trading::api::fetch").limit(Duration::from_secs(10)).retry(Some(3)).at("src/api.rs", 7, 1);
static SEND: Site = Site::timeout_async("trading::api::send").at("src/api.rs", 20, 1);
static EPOCH: Site = Site::timeout_async("trading::train::epoch").at("src/train.rs", 5, 1);
static EPOCH_ON_DEVICE: Site = Site::safe_mps_op("trading::train::epoch").at("src/train.rs", 5, 1);
static MONITOR: Site = Site::timeout_async("trading::main_loop::monitor").idle(Duration::from_secs(60)).at("src/main_loop.rs", 9, 1);
static UPDATE: Site = Site::safe_mps_op("trading::a3c::update").at("src/a3c.rs", 3, 1);

const SITES: [&Site; 6] = [&FETCH, &SEND, &EPOCH, &EPOCH_ON_DEVICE, &MONITOR, &UPDATE];

fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<PolicySet, PolicyError> {
    let mut environment = Environment::of(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()));
    let problems = environment.take_problems(&SITES);
    PolicySet::of_text(Path::new("backstop.toml"), text, environment, problems, &SITES)
}

fn load(text: &str) -> Result<PolicySet, PolicyError> {
    load_with(text, &[])
}

fn policy(text: &str, site: &'static Site) -> Policy {
    load(text).unwrap().policy(site)
}

/// The messages of everything that is wrong, each with its line and column.
fn refusals(text: &str) -> Vec<String> {
    let error = load(text).map(|_| ()).unwrap_err();
    error
        .problems()
        .iter()
        .map(|problem| format!("{}:{} {}", problem.line().unwrap(), problem.column().unwrap(), problem.message()))
        .collect()
}
