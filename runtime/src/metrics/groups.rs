//! Annotated functions by name: what metrics and the table of functions show as one.

use std::sync::OnceLock;

use crate::site::{Kind, Site, sites};

/// All sites of one name.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// Every site of that name.
    pub(crate) sites: Vec<&'static Site>,
    /// Those whose calls are counted: of two attributes on one function only the outer one, or each call would count twice.
    pub(crate) callable: Vec<&'static Site>,
}

impl Group {
    /// Whether one of the sites was made by this attribute.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.sites.iter().any(|site| site.kind() == kind)
    }
}

/// All annotated functions, sorted by name.
pub(crate) fn groups() -> &'static [Group] {
    static GROUPS: OnceLock<Vec<Group>> = OnceLock::new();
    GROUPS.get_or_init(|| group(sites()))
}

fn group(sites: &[&'static Site]) -> Vec<Group> {
    sites.chunk_by(|one, other| one.name() == other.name()).map(of_one_name).collect()
}

fn of_one_name(sites: &[&'static Site]) -> Group {
    let guarded = |site: &Site| {
        sites.iter().any(|other| other.kind() == Kind::TimeoutAsync && (other.file(), other.line()) == (site.file(), site.line()))
    };
    let callable = sites.iter().copied().filter(|site| site.kind() == Kind::TimeoutAsync || !guarded(site)).collect();
    Group { name: sites[0].name(), sites: sites.to_vec(), callable }
}

#[cfg(test)]
mod tests {
    use super::*;

    static OUTER: Site = Site::timeout_async("both").at("a.rs", 3, 1);
    static INNER: Site = Site::safe_mps_op("both").at("a.rs", 3, 1);
    static ELSEWHERE: Site = Site::safe_mps_op("both").at("b.rs", 3, 1);

    #[test]
    fn two_attributes_on_one_function_count_a_call_once() {
        let groups = group(&[&OUTER, &INNER, &ELSEWHERE]);
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].sites.len(), 3);
        let callable: Vec<_> = groups[0].callable.iter().map(|site| (site.kind(), site.file())).collect();
        assert_eq!(callable, [(Kind::TimeoutAsync, "a.rs"), (Kind::SafeMpsOp, "b.rs")]);
    }
}
