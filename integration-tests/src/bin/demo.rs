//! The trading system with injected trouble: `demo --help`.

fn main() -> std::process::ExitCode {
    trading::demo::main(lexopt::Parser::from_env())
}
