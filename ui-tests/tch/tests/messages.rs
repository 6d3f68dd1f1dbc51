//! The cases in `fail/`.

#[test]
fn what_cannot_move_is_explained() {
    backstop_ui_tests::every_case_is_refused(env!("CARGO_TARGET_TMPDIR"));
}
