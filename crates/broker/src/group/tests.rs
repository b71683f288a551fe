//! The state machine, played through with waiters that are numbers.

use super::*;

type Played = Group<u32, u32>;

fn join(id: &str, new_id: &str) -> Join {
    Join {
        member_id: id.to_owned(),
        new_id: new_id.to_owned(),
        session_timeout: 10,
        rebalance_timeout: 50,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::from_static(b"m"))],
        ..Join::default()
    }
}

fn sync(id: &str, generation: i32, assignments: &[(&str, &'static str)]) -> Sync {
    let assignments = assignments
        .iter()
        .map(|(id, given)| ((*id).to_owned(), Bytes::from_static(given.as_bytes())));
    Sync {
        member_id: id.to_owned(),
        generation,
        assignments: assignments.collect(),
        ..Sync::default()
    }
}

type Told<'a> = Vec<(u32, Result<(i32, &'a str, &'a str, usize), ResponseError>)>;

/// Waiter, and what it was told: generation, leader, own id, number of members listed; or the error.
fn joined(effects: &Effects<u32, u32>) -> Told<'_> {
    effects
        .joined
        .iter()
        .map(|(waiter, result)| match result {
            Ok(one) => (
                *waiter,
                Ok((
                    one.generation,
                    one.leader.as_str(),
                    one.member_id.as_str(),
                    one.members.len(),
                )),
            ),
            Err((error, _)) => (*waiter, Err(*error)),
        })
        .collect()
}

fn synced(effects: &Effects<u32, u32>) -> Vec<(u32, Result<&[u8], ResponseError>)> {
    effects
        .synced
        .iter()
        .map(|(waiter, result)| {
            (
                *waiter,
                result
                    .as_ref()
                    .map(|one| &one.assignment[..])
                    .map_err(|error| *error),
            )
        })
        .collect()
}

/// A stable group of `a`, who leads, and `b`, in generation 2, at time 0.
fn stable() -> Played {
    let mut group = Played::new(0);
    group.join(0, join("", "a"), 1);
    group.sync(0, sync("a", 1, &[("a", "all")]), 2);
    group.join(0, join("", "b"), 3);
    let effects = group.join(0, join("a", ""), 4);
    assert_eq!(joined(&effects).len(), 2);
    group.sync(0, sync("b", 2, &[]), 5);
    let effects = group.sync(0, sync("a", 2, &[("a", "1"), ("b", "2")]), 6);
    assert_eq!(synced(&effects), [(6, Ok(&b"1"[..])), (5, Ok(b"2"))]);
    assert_eq!((group.state(), group.generation), (State::Stable, 2));
    group
}

#[test]
fn a_lone_member_leads_and_gets_what_it_assigns() {
    let mut group = Played::new(0);
    let effects = group.join(0, join("", "a"), 1);
    assert_eq!(joined(&effects), [(1, Ok((1, "a", "a", 1)))]);
    assert_eq!(group.state(), State::CompletingRebalance);
    let effects = group.sync(0, sync("a", 1, &[("a", "all")]), 2);
    assert_eq!(synced(&effects), [(2, Ok(&b"all"[..]))]);
    assert_eq!(group.state(), State::Stable);
    assert_eq!(group.heartbeat(1, "a", None, 1), Ok(()));
    let (left, _) = group.leave(2, "a", None);
    assert_eq!((left, group.state()), (Ok(()), State::Empty));
    assert!(group.is_deserted());
}

#[test]
fn a_member_from_version_4_on_comes_back_with_the_id_it_was_given() {
    let mut group = Played::new(0);
    let first = Join {
        must_know_id: true,
        ..join("", "a")
    };
    let effects = group.join(0, first.clone(), 1);
    assert_eq!(
        effects.joined,
        [(1, Err((ResponseError::MemberIdRequired, "a".to_owned())))]
    );
    assert!(!group.is_deserted());
    let effects = group.join(
        1,
        Join {
            member_id: "a".to_owned(),
            ..first.clone()
        },
        2,
    );
    assert_eq!(joined(&effects), [(2, Ok((1, "a", "a", 1)))]);
    let effects = group.join(
        1,
        Join {
            member_id: "x".to_owned(),
            ..first
        },
        3,
    );
    assert_eq!(joined(&effects), [(3, Err(ResponseError::UnknownMemberId))]);
}

#[test]
fn an_id_that_was_given_and_never_used_holds_the_others_up_only_until_it_expires() {
    let mut group = Played::new(0);
    group.join(
        0,
        Join {
            must_know_id: true,
            ..join("", "gone")
        },
        1,
    );
    assert!(joined(&group.join(1, join("", "a"), 2)).is_empty());
    assert_eq!(group.next_deadline(), 10);
    assert_eq!(joined(&group.expire(10)), [(2, Ok((1, "a", "a", 1)))]);
}

#[test]
fn a_new_member_bids_the_others_to_join_again() {
    let mut group = stable();
    assert!(joined(&group.join(1, join("", "c"), 7)).is_empty());
    assert_eq!(
        group.heartbeat(2, "a", None, 2),
        Err(ResponseError::RebalanceInProgress)
    );
    assert_eq!(
        synced(&group.sync(2, sync("a", 2, &[]), 8)),
        [(8, Err(ResponseError::RebalanceInProgress))]
    );
    assert!(joined(&group.join(2, join("a", ""), 9)).is_empty());
    let effects = group.join(3, join("b", ""), 10);
    assert_eq!(
        joined(&effects),
        [
            (9, Ok((3, "a", "a", 3))),
            (10, Ok((3, "a", "b", 0))),
            (7, Ok((3, "a", "c", 0)))
        ]
    );
}

#[test]
fn who_does_not_join_again_in_time_is_left_behind() {
    let mut group = stable();
    group.join(1, join("", "c"), 7);
    group.join(2, join("a", ""), 8);
    // b lives, but does not join
    for at in [9, 18, 27, 36, 45] {
        let _ = group.heartbeat(at, "b", None, 2);
        assert!(joined(&group.expire(at)).is_empty());
    }
    assert_eq!(group.next_deadline(), 51);
    assert_eq!(
        joined(&group.expire(51)),
        [(8, Ok((3, "a", "a", 2))), (7, Ok((3, "a", "c", 0)))]
    );
    assert_eq!(
        group.heartbeat(52, "b", None, 2),
        Err(ResponseError::UnknownMemberId)
    );
}

#[test]
fn who_is_silent_is_given_up_and_the_rest_share_anew() {
    let mut group = stable();
    group.heartbeat(9, "b", None, 2).unwrap();
    assert_eq!(group.next_deadline(), 10);
    group.expire(10);
    assert_eq!(group.state(), State::PreparingRebalance);
    assert_eq!(
        joined(&group.join(11, join("b", ""), 7)),
        [(7, Ok((3, "b", "b", 1)))]
    );
}

#[test]
fn a_leader_that_never_assigns_is_left_behind() {
    let mut group = stable();
    group.join(1, join("a", ""), 7);
    group.join(1, join("b", ""), 8);
    assert!(synced(&group.sync(2, sync("b", 3, &[]), 9)).is_empty());
    for at in [9, 18, 27, 36, 45] {
        let _ = group.heartbeat(at, "a", None, 3);
        group.expire(at);
    }
    let effects = group.expire(51);
    assert_eq!(synced(&effects), [(9, Err(ResponseError::RebalanceInProgress))]);
    assert_eq!(
        joined(&group.join(52, join("b", ""), 10)),
        [(10, Ok((4, "b", "b", 1)))]
    );
}

#[test]
fn a_follower_with_nothing_new_is_told_what_it_knows_and_a_leader_has_all_assigned_anew() {
    let mut group = stable();
    assert_eq!(
        joined(&group.join(1, join("b", ""), 7)),
        [(7, Ok((2, "a", "b", 0)))]
    );
    assert_eq!(group.state(), State::Stable);
    assert!(joined(&group.join(1, join("a", ""), 8)).is_empty());
    assert_eq!(group.state(), State::PreparingRebalance);
    let mut group = stable();
    let other = Join {
        protocols: vec![("range".to_owned(), Bytes::from_static(b"new"))],
        ..join("b", "")
    };
    assert!(joined(&group.join(1, other, 7)).is_empty());
    assert_eq!(group.state(), State::PreparingRebalance);
}

#[test]
fn generations_and_protocols_are_checked() {
    let mut group = stable();
    assert_eq!(
        group.heartbeat(1, "a", None, 1),
        Err(ResponseError::IllegalGeneration)
    );
    assert_eq!(
        group.heartbeat(1, "x", None, 2),
        Err(ResponseError::UnknownMemberId)
    );
    for (wrong, error) in [
        (sync("a", 1, &[]), ResponseError::IllegalGeneration),
        (sync("x", 2, &[]), ResponseError::UnknownMemberId),
        (
            Sync {
                protocol: Some("other".to_owned()),
                ..sync("a", 2, &[])
            },
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            Sync {
                protocol_type: Some("connect".to_owned()),
                ..sync("a", 2, &[])
            },
            ResponseError::InconsistentGroupProtocol,
        ),
    ] {
        assert_eq!(synced(&group.sync(1, wrong, 7)), [(7, Err(error))]);
    }
    let connect = Join {
        protocol_type: "connect".to_owned(),
        ..join("", "c")
    };
    assert_eq!(
        joined(&group.join(1, connect, 8)),
        [(8, Err(ResponseError::InconsistentGroupProtocol))]
    );
    let sticky = Join {
        protocols: vec![("sticky".to_owned(), Bytes::new())],
        ..join("", "c")
    };
    assert_eq!(
        joined(&group.join(1, sticky, 8)),
        [(8, Err(ResponseError::InconsistentGroupProtocol))]
    );
}

#[test]
fn the_protocol_that_most_like_best_is_chosen_of_those_that_all_have() {
    let mut group = Played::new(5);
    let with = |names: &[&str], id| Join {
        protocols: names
            .iter()
            .map(|name| ((*name).to_owned(), Bytes::new()))
            .collect(),
        ..join("", id)
    };
    group.join(0, with(&["x", "range", "sticky"], "a"), 1);
    group.join(0, with(&["sticky", "range"], "b"), 2);
    group.join(0, with(&["sticky", "range"], "c"), 3);
    let effects = group.expire(5);
    assert_eq!(effects.joined.len(), 3);
    assert!(
        effects
            .joined
            .iter()
            .all(|(_, joined)| joined.as_ref().unwrap().protocol == "sticky")
    );
}

#[test]
fn a_first_rebalance_waits_for_others_and_is_put_off_by_each() {
    let mut group = Played::new(5);
    group.join(0, join("", "a"), 1);
    assert_eq!(group.next_deadline(), 5);
    group.join(3, join("", "b"), 2);
    assert_eq!(group.next_deadline(), 8);
    assert!(joined(&group.expire(7)).is_empty());
    assert_eq!(
        joined(&group.expire(8)),
        [(1, Ok((1, "a", "a", 2))), (2, Ok((1, "a", "b", 0)))]
    );
}

#[test]
fn a_static_member_that_comes_back_takes_its_old_place_and_fences_the_former() {
    let fixed = |id: &str, new_id: &str| Join {
        instance: Some("i".to_owned()),
        can_skip_assignment: true,
        ..join(id, new_id)
    };
    let mut group = Played::new(0);
    group.join(0, fixed("", "a1"), 1);
    group.sync(
        0,
        Sync {
            instance: Some("i".to_owned()),
            ..sync("a1", 1, &[("a1", "all")])
        },
        2,
    );
    let effects = group.join(1, fixed("", "a2"), 3);
    let (_, told) = &effects.joined[0];
    let told = told.as_ref().unwrap();
    assert_eq!(
        (
            told.generation,
            told.skip_assignment,
            told.leader.as_str(),
            told.members.len()
        ),
        (1, true, "a2", 1)
    );
    let back = Sync {
        instance: Some("i".to_owned()),
        ..sync("a2", 1, &[])
    };
    assert_eq!(synced(&group.sync(1, back, 4)), [(4, Ok(&b"all"[..]))]);
    assert_eq!(
        group.heartbeat(1, "a1", Some("i"), 1),
        Err(ResponseError::FencedInstanceId)
    );
    assert_eq!(
        group.may_commit(1, "a1", Some("i"), 1),
        Err(ResponseError::FencedInstanceId)
    );
    // it may be sent away by its instance id alone
    assert_eq!(
        group.leave(2, "", Some("other")).0,
        Err(ResponseError::UnknownMemberId)
    );
    assert_eq!(group.leave(2, "", Some("i")).0, Ok(()));
    assert!(group.is_deserted());
}

#[test]
fn positions_are_committed_by_members_in_their_generation_or_by_anyone_to_an_empty_group() {
    let mut group = Played::new(0);
    assert_eq!(group.may_commit(0, "", None, -1), Ok(()));
    assert_eq!(
        group.may_commit(0, "a", None, 1),
        Err(ResponseError::UnknownMemberId)
    );
    let mut group = stable();
    assert_eq!(group.may_commit(0, "a", None, 2), Ok(()));
    assert_eq!(
        group.may_commit(0, "a", None, 1),
        Err(ResponseError::IllegalGeneration)
    );
    assert_eq!(
        group.may_commit(0, "", None, -1),
        Err(ResponseError::UnknownMemberId)
    );
    // while the others join again, what was read so far may still be committed; not when the new generation is known
    group.join(1, join("", "c"), 7);
    assert_eq!(group.may_commit(1, "a", None, 2), Ok(()));
    group.join(1, join("a", ""), 8);
    group.join(1, join("b", ""), 9);
    assert_eq!(
        group.may_commit(1, "a", None, 3),
        Err(ResponseError::RebalanceInProgress)
    );
}

#[test]
fn a_group_is_described_with_its_assignment_when_it_is_stable() {
    let described = stable().describe();
    assert_eq!(
        (
            described.state.name(),
            described.protocol.as_str(),
            described.protocol_type.as_str()
        ),
        ("Stable", "range", "consumer")
    );
    let assignments: Vec<_> = described
        .members
        .iter()
        .map(|(id, .., assignment)| (id.as_str(), &assignment[..]))
        .collect();
    assert_eq!(assignments, [("a", &b"1"[..]), ("b", b"2")]);
}
