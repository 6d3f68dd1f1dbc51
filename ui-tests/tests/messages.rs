//! The cases in `fail/`.

#[test]
fn misuse_is_explained() {
    backstop_ui_tests::every_case_is_refused(env!("CARGO_TARGET_TMPDIR"));
}
