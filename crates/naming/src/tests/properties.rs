//! What holds for every project and branch.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{ConnectionId, GitBranch, Identity, LabelValue, NameForm, ProjectName, ReleaseName};

/// A valid part, now with letters and digits mostly, now with characters from all of Unicode, often
/// too long for a name.
fn part(max_length: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![
        6 => select(('a'..='z').chain('0'..='9').collect::<Vec<_>>()),
        3 => select("-_/. AZ\u{212a}\u{0130}ßя".chars().collect::<Vec<_>>()),
        1 => any::<char>().prop_filter("no control character", |other| !other.is_control()),
    ];
    let characters = prop_oneof![vec(character.clone(), 1..=6), vec(character.clone(), 35..=45), vec(character, 1..=max_length),];
    characters.prop_map(String::from_iter)
}

fn identity() -> impl Strategy<Value = Identity> {
    let branch = proptest::option::of(part(GitBranch::MAX_LENGTH));
    (part(ProjectName::MAX_LENGTH), branch).prop_map(|(project, branch)| Identity::parse(&project, branch.as_deref()).unwrap())
}

/// From so few characters that many identities have one slug.
fn look_alike() -> impl Strategy<Value = Identity> {
    ("[ab_-]{1,3}", proptest::option::of("[ab_-]{1,3}")).prop_map(|(project, branch)| Identity::parse(&project, branch.as_deref()).unwrap())
}

fn is_alphanumeric(character: char) -> bool {
    matches!(character, 'a'..='z' | '0'..='9')
}

fn is_dns_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.chars().all(|character| is_alphanumeric(character) || character == '-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn is_dns_subdomain(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(is_alphanumeric)
            && part.ends_with(is_alphanumeric)
            && part.chars().all(|character| is_alphanumeric(character) || character == '-')
    };
    name.len() <= 253 && name.split('.').all(is_part)
}

fn is_label_value(value: &str) -> bool {
    let is_edge = |edge: Option<char>| edge.is_none_or(|edge| edge.is_ascii_alphanumeric());
    value.len() <= 63
        && value.chars().all(|character| character.is_ascii_alphanumeric() || "_.-".contains(character))
        && is_edge(value.chars().next())
        && is_edge(value.chars().last())
}

/// Letters and digits of a part, lower case, words joined; written another way than in the crate.
fn expected_slug(part: &str, separator: char) -> String {
    let mut slug = String::new();
    for character in part.chars() {
        match character {
            'a'..='z' | '0'..='9' => slug.push(character),
            'A'..='Z' => slug.push(char::from(u8::try_from(character).unwrap() + 32)),
            _ if slug.ends_with(separator) || slug.is_empty() => {}
            _ => slug.push(separator),
        }
    }
    slug.trim_end_matches(separator).to_owned()
}

proptest! {
    #[test]
    fn release_names_are_dns_labels_and_so_is_what_must_be_one(
        identity in identity(),
        ordinal in prop_oneof![Just(u32::MAX), any::<u32>()],
    ) {
        for name in identity.release_names() {
            prop_assert!(is_dns_label(name.as_str()), "{}", name);
            prop_assert!(name.as_str().len() <= 52, "{}", name);
            prop_assert!(name.as_str().starts_with(ReleaseName::PREFIX), "{}", name);
            prop_assert!(!name.as_str().contains("--"), "{}", name);
            let revision = format!("{name}-{}", "x".repeat(10));
            for derived in [name.pod_name(ordinal), name.config_map_name(), revision] {
                prop_assert!(is_dns_label(&derived), "{}", derived);
            }
            for derived in [
                name.claim_name(ordinal),
                name.secret_name(),
                name.tls_secret_name(),
                name.operation_object_name(),
            ] {
                prop_assert!(is_dns_subdomain(&derived), "{}", derived);
            }
        }
    }

    #[test]
    fn made_names_pass_their_own_door(identity in identity()) {
        for name in identity.release_names() {
            prop_assert_eq!(name.as_str().parse::<ReleaseName>(), Ok(name));
        }
        for id in identity.connection_ids() {
            prop_assert!(!id.as_str().contains("__"), "{}", id);
            prop_assert_eq!(id.as_str().parse::<ConnectionId>(), Ok(id));
        }
    }

    #[test]
    fn names_depend_on_the_identity_alone(identity in identity()) {
        let branch = identity.branch().map(GitBranch::as_str);
        let again = Identity::parse(identity.project().as_str(), branch).unwrap();
        prop_assert_eq!(again.release_names(), identity.release_names());
        prop_assert_eq!(again.connection_ids(), identity.connection_ids());
    }

    #[test]
    fn plain_names_follow_the_convention_where_they_can(identity in identity()) {
        let parts = [Some(identity.project().as_str()), identity.branch().map(GitBranch::as_str)];
        let slugs = |separator| {
            let slugs = parts.iter().flatten().map(|part| expected_slug(part, separator));
            slugs.collect::<Vec<_>>()
        };
        let is_complete = !slugs('-').contains(&String::new());

        let plain = format!("dbt-server-{}", slugs('-').join("-"));
        let actual = identity.release_name(NameForm::Plain);
        if is_complete && plain.len() <= 52 {
            prop_assert_eq!(actual.as_str(), plain);
        } else {
            prop_assert_eq!(actual, identity.release_name(NameForm::Hashed));
        }

        let plain = slugs('_').join("_");
        let actual = identity.connection_id(NameForm::Plain);
        if is_complete && plain.len() <= 200 {
            prop_assert_eq!(actual.as_str(), plain);
        } else {
            prop_assert_eq!(actual, identity.connection_id(NameForm::Hashed));
        }
    }

    #[test]
    fn hashed_names_end_in_the_hash(identity in identity()) {
        let hash = identity.hash();
        let forms = [(NameForm::Hashed, hash.short()), (NameForm::LongHashed, hash.long())];
        for (form, digits) in forms {
            let (name, id) = (identity.release_name(form), identity.connection_id(form));
            prop_assert!(name.as_str().ends_with(&format!("-{digits}")), "{}", name);
            prop_assert!(id.as_str().ends_with(&format!("_{digits}")), "{}", id);
        }
        prop_assert_eq!((hash.short().len(), hash.long().len()), (8, 16));
        prop_assert!(hash.long().starts_with(hash.short()));
    }

    #[test]
    fn candidates_are_all_forms_each_once(identity in identity()) {
        let names = identity.release_names();
        for form in NameForm::ALL {
            prop_assert!(names.contains(&identity.release_name(form)));
            prop_assert!(identity.connection_ids().contains(&identity.connection_id(form)));
        }
        prop_assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        prop_assert_eq!(&names[0], &identity.release_name(NameForm::Plain));
        prop_assert_eq!(names.last(), Some(&identity.release_name(NameForm::LongHashed)));
    }

    #[test]
    fn identities_that_differ_have_hashed_names_that_differ(
        (one, other) in prop_oneof![(identity(), identity()), (look_alike(), look_alike())],
    ) {
        prop_assume!(one != other);
        for form in [NameForm::Hashed, NameForm::LongHashed] {
            prop_assert_ne!(one.release_name(form), other.release_name(form));
            prop_assert_ne!(one.connection_id(form), other.connection_id(form));
        }
    }

    #[test]
    fn labels_are_valid_and_keep_what_is_valid(identity in identity(), text in any::<String>()) {
        let project = identity.project_label();
        let other = LabelValue::sanitise(&text);
        let labels = [Some(project.clone()), identity.branch_label(), Some(other)];
        for label in labels.into_iter().flatten() {
            prop_assert!(is_label_value(label.as_str()), "{}", label);
            prop_assert_eq!(LabelValue::sanitise(label.as_str()), label);
        }
        if is_label_value(identity.project().as_str()) {
            prop_assert_eq!(project.as_str(), identity.project().as_str());
        }
    }
}
