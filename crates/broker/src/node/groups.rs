//! The APIs of group membership: join, sync, heartbeat, leave; describe, list, delete.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Answer, Client, Node, Pending, text};
use crate::group::{Join, Joined, Sync};

/// A group id is part of a key whose parts a NUL divides.
pub(super) fn check_group(group: &str) -> Result<(), ResponseError> {
    if group.contains('\0') {
        Err(ResponseError::InvalidGroupId)
    } else {
        Ok(())
    }
}

/// What is kept must not hold the whole request's bytes.
fn kept(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn owned(text: Option<&StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}

impl Node {
    pub(super) fn join_group(
        self: &Arc<Self>,
        client: &Client,
        request: JoinGroupRequest,
        version: i16,
    ) -> Pending {
        let session = i64::from(request.session_timeout_ms);
        let allowed = &self.config.session_timeout;
        let within =
            u64::try_from(session).is_ok_and(|ms| allowed.contains(&std::time::Duration::from_millis(ms)));
        let refused = match check_group(&request.group_id) {
            Ok(()) if request.group_id.is_empty() => Some(ResponseError::InvalidGroupId),
            Ok(()) => (!within).then_some(ResponseError::InvalidSessionTimeout),
            Err(error) => Some(error),
        };
        if let Some(error) = refused {
            return joined(Err((error, request.member_id.to_string())), version).into();
        }
        let instance = owned(request.group_instance_id.as_ref());
        let named = instance.as_deref().unwrap_or(&client.id);
        let join = Join {
            member_id: request.member_id.to_string(),
            new_id: format!("{named}-{}", uuid::Uuid::new_v4()),
            client_id: client.id.clone(),
            client_host: client.host.clone(),
            session_timeout: session,
            // Before version 1 there was but one timeout.
            rebalance_timeout: if version == 0 {
                session
            } else {
                i64::from(request.rebalance_timeout_ms).max(0)
            },
            protocol_type: request.protocol_type.to_string(),
            protocols: request
                .protocols
                .iter()
                .map(|one| (one.name.to_string(), kept(&one.metadata)))
                .collect(),
            must_know_id: version >= 4 && instance.is_none(),
            can_skip_assignment: version >= 9,
            instance,
        };
        let answer = self.groups.join(&request.group_id, join);
        let id = request.member_id.to_string();
        let wait = async move {
            let result = answer
                .await
                .unwrap_or(Err((ResponseError::CoordinatorNotAvailable, id)));
            Answer::message(joined(result, version))
        };
        Pending::Waiting(wait.boxed())
    }

    pub(super) fn sync_group(self: &Arc<Self>, request: SyncGroupRequest) -> Pending {
        let sync = Sync {
            member_id: request.member_id.to_string(),
            instance: owned(request.group_instance_id.as_ref()),
            generation: request.generation_id,
            protocol_type: owned(request.protocol_type.as_ref()),
            protocol: owned(request.protocol_name.as_ref()),
            assignments: request
                .assignments
                .iter()
                .map(|one| (one.member_id.to_string(), kept(&one.assignment)))
                .collect(),
        };
        let answer = self.groups.sync(&request.group_id, sync);
        let wait = async move {
            let result = match answer {
                Ok(answer) => answer
                    .await
                    .unwrap_or(Err(ResponseError::CoordinatorNotAvailable)),
                Err(_) => Err(ResponseError::CoordinatorNotAvailable),
            };
            let response = SyncGroupResponse::default();
            let response = match result {
                Ok(synced) => response
                    .with_protocol_type(Some(text(synced.protocol_type)))
                    .with_protocol_name(Some(text(synced.protocol)))
                    .with_assignment(synced.assignment),
                Err(error) => response.with_error_code(error.code()),
            };
            Answer::message(response)
        };
        Pending::Waiting(wait.boxed())
    }

    pub(super) fn heartbeat(&self, request: &HeartbeatRequest) -> HeartbeatResponse {
        let instance = request.group_instance_id.as_deref();
        let beat = self.groups.heartbeat(
            &request.group_id,
            &request.member_id,
            instance,
            request.generation_id,
        );
        HeartbeatResponse::default().with_error_code(beat.err().map_or(0, |error| error.code()))
    }

    pub(super) fn leave_group(&self, request: LeaveGroupRequest, version: i16) -> LeaveGroupResponse {
        let leave = |id: &str, instance: Option<&str>| {
            self.groups
                .leave(&request.group_id, id, instance)
                .err()
                .map_or(0, |error| error.code())
        };
        if version < 3 {
            return LeaveGroupResponse::default().with_error_code(leave(&request.member_id, None));
        }
        let members = request.members.iter().map(
            |MemberIdentity {
                 member_id,
                 group_instance_id,
                 ..
             }| {
                let code = leave(member_id, group_instance_id.as_deref());
                let member = MemberResponse::default().with_member_id(member_id.clone());
                member
                    .with_group_instance_id(group_instance_id.clone())
                    .with_error_code(code)
            },
        );
        LeaveGroupResponse::default().with_members(members.collect())
    }

    pub(super) fn describe_groups(
        &self,
        request: DescribeGroupsRequest,
        version: i16,
    ) -> DescribeGroupsResponse {
        let describe = |id: GroupId| {
            let Some(group) = self.groups.describe(&id) else {
                let unknown = DescribedGroup::default().with_group_state(StrBytes::from_static_str("Dead"));
                let unknown = match version {
                    6.. => unknown
                        .with_error_code(ResponseError::GroupIdNotFound.code())
                        .with_error_message(Some(text(format!("Group {} not found.", id.as_str())))),
                    _ => unknown,
                };
                return unknown.with_group_id(id);
            };
            let members =
                group
                    .members
                    .into_iter()
                    .map(|(id, instance, client_id, host, metadata, assignment)| {
                        // Before version 4 there are no instance ids.
                        DescribedGroupMember::default()
                            .with_member_id(text(id))
                            .with_group_instance_id(instance.filter(|_| version >= 4).map(text))
                            .with_client_id(text(client_id))
                            .with_client_host(text(host))
                            .with_member_metadata(metadata)
                            .with_member_assignment(assignment)
                    });
            DescribedGroup::default()
                .with_group_id(id)
                .with_group_state(StrBytes::from_static_str(group.state.name()))
                .with_protocol_type(text(group.protocol_type))
                .with_protocol_data(text(group.protocol))
                .with_members(members.collect())
        };
        DescribeGroupsResponse::default().with_groups(request.groups.into_iter().map(describe).collect())
    }

    pub(super) fn list_groups(&self, request: &ListGroupsRequest) -> ListGroupsResponse {
        let named = |names: &[StrBytes], name: &str| {
            names.is_empty() || names.iter().any(|other| other.eq_ignore_ascii_case(name))
        };
        let groups = self.groups.list().into_iter();
        let groups = groups.filter(|(_, _, state)| {
            named(&request.states_filter, state.name()) && named(&request.types_filter, "classic")
        });
        let listed = groups.map(|(id, protocol_type, state)| {
            ListedGroup::default()
                .with_group_id(text(id).into())
                .with_protocol_type(text(protocol_type))
                .with_group_state(StrBytes::from_static_str(state.name()))
                .with_group_type(StrBytes::from_static_str("classic"))
        });
        ListGroupsResponse::default().with_groups(listed.collect())
    }

    pub(super) async fn delete_groups(&self, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
        let mut results = Vec::with_capacity(request.groups_names.len());
        for id in request.groups_names {
            let deleted = match self.groups.delete(&id) {
                Ok(Ok(flush)) => flush
                    .wait()
                    .await
                    .map_err(|_| ResponseError::CoordinatorNotAvailable),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(ResponseError::CoordinatorNotAvailable),
            };
            let code = deleted.err().map_or(0, |error| error.code());
            results.push(
                DeletableGroupResult::default()
                    .with_group_id(id)
                    .with_error_code(code),
            );
        }
        DeleteGroupsResponse::default().with_results(results)
    }
}

fn joined(result: Result<Joined, (ResponseError, String)>, version: i16) -> JoinGroupResponse {
    let response = JoinGroupResponse::default();
    match result {
        Ok(joined) => {
            let members = joined.members.into_iter().map(|(id, instance, metadata)| {
                JoinGroupResponseMember::default()
                    .with_member_id(text(id))
                    .with_group_instance_id(instance.filter(|_| version >= 5).map(text))
                    .with_metadata(metadata)
            });
            response
                .with_generation_id(joined.generation)
                .with_protocol_type(Some(text(joined.protocol_type)))
                .with_protocol_name(Some(text(joined.protocol)))
                .with_leader(text(joined.leader))
                .with_skip_assignment(joined.skip_assignment)
                .with_member_id(text(joined.member_id))
                .with_members(members.collect())
        }
        Err((error, id)) => {
            // Before version 7 the name could not be null.
            let none = (version < 7).then(StrBytes::new);
            response
                .with_error_code(error.code())
                .with_generation_id(-1)
                .with_member_id(text(id))
                .with_protocol_name(none)
        }
    }
}
