//! The program: commands, wiring, terminal output. It holds no rule of its own; it shows and it asks.

mod args;
mod authority_commands;
mod backup;
mod check;
mod demo;
mod device;
mod doctor;
mod failure;
mod files;
mod find;
mod import;
mod list;
mod out;
mod packages;
mod restore;
mod results;
mod revoke;
mod rollover;
mod secure;
mod serve;
mod setting;
mod status;
mod sweep;
mod talk;
mod targets;
mod trust_commands;
mod vault_commands;

use std::process::ExitCode;

use args::{Args, AuthorityAction, Command};
use clap::{CommandFactory, Parser};
use failure::Failure;
use setting::Setting;

fn main() -> ExitCode {
    leave_no_memory();
    let args = Args::parse();
    let json = args.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return talk::explain(&Failure::broken("cannot-start", "reason", &e.to_string()), json),
    };
    match runtime.block_on(run(args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => talk::explain(&failure, json),
    }
}

/// Keys are in this memory: it goes into no core file, and no other program of this user looks into it. Where a system
/// has none of these, there is nothing to be done.
fn leave_no_memory() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Whether what was asked holds.
async fn run(args: Args) -> Result<bool, Failure> {
    let setting = Setting::new(&args);
    let command = match args.command {
        Some(command) => command,
        None if setting.directory().is_ok_and(|directory| directory.join(site::LEDGER).exists()) => {
            Command::Status
        }
        None => {
            let _ = Args::command().print_help();
            return Err(Failure::usage("no-command"));
        }
    };
    match command {
        Command::Status => status::run(&setting).await,
        Command::Demo(demo) => demo::run(&demo, setting.json).await,
        Command::Init(init) => authority_commands::init(&init, &setting).await,
        Command::Authority(authority) => match &authority.action {
            AuthorityAction::Import(import) => import::run(import, &setting).await,
            AuthorityAction::Show => authority_commands::show(&setting).await,
            AuthorityAction::Rollover(rollover) => rollover::run(rollover, &setting).await,
            AuthorityAction::Issuer(issuer) => rollover::issuer(issuer, &setting).await,
        },
        Command::Device(device) => device::run(&device, &setting).await,
        Command::Revoke(revoke) => revoke::run(&revoke, &setting).await,
        Command::Doctor => doctor::run(&setting).await,
        Command::Trust(trust) => trust_commands::run(&trust, &setting).await,
        Command::Check(check) => check::run(&check, &setting).await,
        Command::Find(find) => find::run(&find, &setting).await,
        Command::Secure(secure) => secure::run(&secure, &setting).await,
        Command::Sign(sign) => files::sign(&sign, &setting).await,
        Command::Issue(issue) => files::issue(&issue, &setting).await,
        Command::Serve(serve) => serve::run(&serve, &setting).await,
        Command::List(list) => list::run(&list, &setting).await,
        Command::Vault(vault) => vault_commands::run(&vault, &setting).await,
        Command::Backup(backup) => backup::run(&backup, &setting).await,
        Command::Restore(restore) => restore::run(&restore, &setting).await,
    }
}
