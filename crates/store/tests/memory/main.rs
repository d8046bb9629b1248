//! Memory: what the store promises, told as sentences and run against every backend. A backend is one line at the end.
//!
//! Tests are functions over a [`backend::Backend`]; the macro below makes them tests of one. No mocks: real files, real
//! transactions, several tasks at once where the promise is about that.
#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first thing that is not as it should be")]

mod accepting;
mod account_state;
mod accounts;
mod api_log;
mod audit;
mod back;
mod backend;
mod campaign_faults;
mod campaigns;
mod contacts;
mod copies;
mod crash;
mod erasing;
mod gathered;
mod imports;
mod jobs;
mod limits;
mod lists;
mod marks;
mod media;
mod nodes;
mod opt_outs;
mod out;
mod people;
mod receipts;
mod redis_server;
mod scheduled;
mod seal_keys;
mod sweeps;
mod templates;
mod usage;
mod webhooks;
mod world;
mod writing;

macro_rules! suite {
    ($backend:ident, $($module:ident: [$($test:ident),* $(,)?]),* $(,)?) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::$module::$test(crate::world::World::<crate::backend::$backend>::new().await).await;
            })*
        })*
    };
}

macro_rules! on {
    ($module:ident, $backend:ident) => {
        mod $module {
            suite! { $backend,
                writing: [
                    everything_waiting_is_committed_and_answered,
                    what_was_answered_is_there_after_reopening,
                    a_failed_commit_answers_unavailable_and_the_writer_goes_on,
                    one_refused_request_spoils_no_other,
                    a_panic_in_a_request_ends_only_that_request,
                    events_are_told_after_their_commit_and_in_order,
                    a_closed_store_answers_unavailable,
                    migrations_are_named_and_applied_once,
                    the_file_is_for_its_owner_only,
                ],
                people: [
                    names_and_addresses_are_taken_once,
                    the_last_active_admin_stays,
                    two_admins_cannot_demote_each_other_at_once,
                    a_password_hash_leaves_only_for_a_login,
                    users_are_listed_filtered_and_sorted,
                    deleting_a_user_takes_everything_along,
                    what_a_user_has_much_of_goes_in_pieces,
                    who_is_being_removed_stays_as_it_is,
                    keys_are_found_by_prefix_and_read_back_whole,
                    a_revoked_key_stays_revoked_and_a_rotated_one_has_grace,
                    last_use_never_moves_back,
                    a_refresh_token_used_twice_ends_the_family,
                    of_two_refreshes_at_once_one_is_a_reuse,
                    expired_and_revoked_logins_are_dead,
                    a_cookie_is_good_while_it_is_used_and_its_login_lives,
                    audit_entries_are_added,
                ],
                audit: [
                    a_log_that_nobody_touched_is_whole,
                    the_first_entry_that_was_changed_is_named,
                    nothing_is_added_behind_a_forged_end,
                    a_thief_of_the_database_can_not_forge,
                    the_database_itself_refuses_to_change_the_log,
                    entries_from_before_the_chain_are_chained,
                    the_log_is_listed_by_who_what_and_when,
                ],
                accounts: [
                    a_user_has_as_many_sessions_as_allowed,
                    a_new_owner_fences_the_old_one,
                    a_change_of_status_is_an_event_and_the_same_again_is_none,
                    what_can_be_empty_can_be_emptied,
                    sentences_from_before_there_were_codes_get_theirs,
                    linked_and_wanted_sessions_start,
                    erasing_credentials_unlinks,
                    a_database_that_was_put_back_uses_nothing_of_before,
                    deleting_a_session_takes_its_messages_along,
                    sessions_are_listed_by_status_and_name,
                    all_that_is_left_in_motion_is_found,
                ],
                account_state: [
                    values_are_put_found_listed_and_removed,
                    changes_are_made_all_or_none,
                    an_owner_sees_its_own_writes,
                    two_accounts_never_see_each_other,
                    an_old_owner_writes_nothing,
                    a_new_owner_in_the_same_commit_fences_the_old_one,
                    a_value_is_taken_once,
                    updates_at_once_lose_nothing,
                    another_key_opens_nothing,
                    a_changed_key_still_reads_what_the_old_one_sealed,
                    a_moved_or_changed_row_is_corrupt_and_the_others_stay_readable,
                    a_stolen_file_tells_nothing,
                    secrets_of_another_folder_are_found_out,
                    old_values_of_a_kind_are_swept,
                ],
                accepting: [
                    an_accepted_message_is_pending_told_and_counted,
                    the_same_key_and_request_is_replayed,
                    the_same_key_with_another_request_is_refused,
                    fifty_at_once_with_one_key_make_one_message,
                    a_key_holds_through_a_crash,
                    a_key_is_forgotten_at_its_end,
                    a_replaced_answer_is_replayed,
                    the_daily_limit_is_exact_under_load,
                    a_message_for_a_deleted_account_spoils_no_other,
                    hundreds_at_once_keep_their_order_per_chat,
                ],
                gathered: [
                    accounts_that_ask_at_once_get_their_own,
                    one_that_lost_its_account_spoils_no_other,
                    the_same_message_twice_at_once_comes_in_once,
                    of_two_changes_of_a_value_at_once_the_last_counts,
                ],
                out: [
                    a_chat_is_served_in_order_and_one_at_a_time,
                    a_retry_holds_up_its_own_chat_only,
                    what_was_held_for_long_says_so_in_its_timeline,
                    what_waits_for_a_connection_is_due_when_it_is_there,
                    a_claim_that_was_never_reported_may_have_left,
                    a_doubt_outlives_the_attempts_that_follow,
                    an_old_owner_claims_nothing,
                    a_resolved_recipient_keeps_the_order,
                    what_is_late_expires_by_what_is_known_of_it,
                    a_late_head_does_not_hold_up_its_chat,
                    an_unlinked_account_fails_what_waits,
                    what_may_have_left_an_unlinked_account_is_not_said_to_be_unsent,
                    only_what_has_not_left_is_canceled,
                    a_failed_message_goes_again_with_the_same_whatsapp_id,
                    a_message_that_is_tried_again_does_not_count_as_failed,
                    a_message_that_can_not_be_read_does_not_hold_up_its_chat,
                    every_chat_has_exactly_one_head,
                ],
                media: [
                    a_message_carries_its_file_and_tells_of_it,
                    the_same_content_is_one_file_of_a_user_and_another_of_the_next,
                    a_message_with_a_file_that_is_not_there_is_refused_and_spoils_no_other,
                    a_file_that_came_in_is_remote_until_it_is_fetched,
                    ways_to_files_are_sealed_and_bound_to_their_message,
                    files_are_let_go_by_age_unless_they_are_on_their_way,
                    files_that_nobody_carries_are_forgotten,
                ],
                back: [
                    a_message_goes_its_way_and_the_timeline_tells_it,
                    what_may_not_have_arrived_is_sent_again_first_and_once,
                    what_waited_for_a_connection_goes_after_what_is_sent_again_before_it,
                    a_wish_for_a_message_is_answered_at_the_next_start_whatever_its_age,
                    a_wish_is_forgotten_when_it_was_answered_or_is_old,
                    a_receipt_before_the_acknowledgement_counts,
                    the_same_news_again_changes_nothing,
                    no_sequence_of_news_takes_a_message_back,
                    an_acknowledgement_lifts_a_failure,
                    news_from_an_old_owner_is_fenced,
                    news_about_another_accounts_message_is_ignored,
                    a_message_comes_in_once,
                    the_same_id_from_another_sender_is_another_message,
                    what_the_owner_wrote_elsewhere_is_outbound,
                    the_original_of_an_incoming_message_is_sealed,
                    a_crash_between_commit_and_acknowledgement_doubles_nothing,
                ],
                marks: [
                    a_place_cards_and_a_poll_are_read_back_as_they_were,
                    a_reaction_shows_at_its_message_and_is_told,
                    what_is_about_an_unknown_message_is_kept_all_the_same,
                    a_message_and_what_is_done_to_it_may_come_together,
                    what_is_done_to_a_message_may_come_before_it,
                    nobody_changes_what_somebody_else_wrote,
                    what_the_account_does_shows_when_it_is_acknowledged,
                    votes_are_counted_once_for_each_person,
                    erasing_a_person_takes_their_reactions_off_the_messages_of_others,
                ],
                receipts: [
                    each_member_of_a_group_tells_for_itself_once_and_never_back,
                    what_is_no_receipt_of_a_member_leaves_none,
                    many_members_come_in_one_batch_and_are_paged,
                    members_have_the_names_that_their_users_contacts_have,
                    a_member_who_is_known_by_two_ids_counts_once,
                    receipts_go_with_their_message,
                    receipts_of_old_messages_go_in_pieces,
                    erasing_a_person_takes_what_they_told_of_messages_to_groups,
                ],
                usage: [
                    a_day_is_counted_by_what_happened_on_it,
                    reports_are_by_day_or_month_and_user,
                    two_stores_on_one_database_keep_the_daily_limit_together,
                    the_daily_limit_holds_through_a_restart,
                ],
                api_log: [
                    rows_and_counts_are_written_together,
                    requests_are_filtered_by_everything_an_admin_would_want,
                    a_cursor_goes_through_the_log_while_it_grows,
                    long_lists_are_counted_up_to_a_bound_and_say_so,
                    old_requests_go_and_counts_stay,
                ],
                nodes: [
                    an_account_has_one_living_owner,
                    a_node_is_asked_once_and_answers_sealed,
                    a_refused_accept_hides_no_event_of_another_node,
                ],
                crash: [
                    what_was_answered_survives_a_killed_process,
                ],
                jobs: [
                    a_job_is_claimed_when_it_is_due_and_gone_when_it_is_done,
                    who_waits_for_the_end_of_a_job_is_told,
                    jobs_of_a_lane_run_one_at_a_time_in_order,
                    a_retry_holds_up_its_lane_or_leaves_it,
                    what_waits_in_one_bundle_is_not_looked_at_for_another,
                    when_a_node_dies_its_jobs_run_again_and_its_late_outcome_counts_for_nothing,
                    a_renewed_job_stays_with_its_owner,
                    what_is_given_back_counts_for_nothing,
                    a_dead_job_is_listed_retried_and_dropped,
                    kinds_are_counted_and_old_dead_jobs_are_swept,
                    jobs_go_with_their_user,
                    of_many_who_claim_at_once_each_job_goes_to_one,
                    a_hint_tells_what_may_be_due,
                    jobs_of_another_node_are_heard_of,
                    a_job_that_can_not_be_read_is_given_up,
                    of_many_nodes_one_runs_a_tick,
                    a_tick_of_a_node_that_died_is_run_by_another,
                ],
                sweeps: [
                    old_messages_go_with_all_they_have_and_what_waits_stays,
                    old_events_go_and_cursors_stay_good,
                    keys_logins_and_signal_state_past_their_time_go,
                    only_sessions_that_were_never_linked_are_found,
                    old_aliases_go_unless_something_waits_for_them,
                ],
                webhooks: [
                    deliveries_are_made_with_their_event_for_those_who_listen,
                    an_endpoint_that_another_node_made_is_told_at_once,
                    an_attempt_reported_twice_at_once_is_logged_twice_and_counts_as_it_should,
                    a_message_and_its_deliveries_are_one_write,
                    what_became_of_a_delivery_is_kept,
                    a_replay_is_another_round_of_the_same_delivery,
                    an_endpoint_that_keeps_failing_is_switched_off_and_told,
                    secrets_of_endpoints_are_sealed_and_rotate,
                    old_deliveries_are_swept_and_endpoints_take_theirs_along,
                    an_endpoint_with_a_long_log_goes_in_pieces,
                    a_user_with_much_goes_in_pieces_and_to_the_end,
                    a_user_has_as_many_endpoints_as_allowed,
                ],
                seal_keys: [
                    everything_is_sealed_anew_through_kills_and_then_the_old_key_goes,
                    a_node_without_the_new_key_undoes_nothing_and_keeps_the_old_one_from_going,
                    what_is_damaged_is_counted_and_written_meanwhile_is_kept,
                    a_node_that_comes_back_after_a_crash_tells_its_new_key,
                ],
                erasing: [
                    nothing_of_an_erased_person_is_left_in_any_table_or_file,
                    every_table_is_told_of,
                    a_file_that_is_taken_in_is_waited_for_and_makes_nobody_again,
                ],
                imports: [
                    a_step_moves_the_place_and_happens_once,
                    a_canceled_import_writes_nothing_more,
                    people_are_opted_out_by_steps_as_well,
                    a_user_has_a_few_imports_at_once_and_keeps_so_many_faults,
                    imports_that_nobody_works_on_are_ended,
                ],
                contacts: [
                    a_contact_is_made_seen_changed_and_removed,
                    a_contact_is_replaced_but_not_by_another_person,
                    a_file_is_put_in_and_put_in_again,
                    people_are_found_by_the_beginnings_of_words,
                    lists_are_whole_in_every_order_by_pages_and_cursors,
                    tags_are_counted_renamed_and_taken_off,
                    what_whatsapp_tells_makes_two_contacts_one,
                    an_erased_person_leaves_nothing_but_the_wish_to_be_left_alone,
                    contacts_go_with_their_user,
                    long_lists_of_a_tag_are_whole,
                ],
                opt_outs: [
                    who_opted_out_is_refused_by_number_and_by_hidden_id,
                    what_was_sent_before_is_replayed_and_not_refused,
                    an_opt_out_wins_against_what_was_accepted_before,
                    who_is_found_to_be_somebody_who_opted_out_is_refused_too,
                    stop_and_start_are_heard_with_proof_and_told,
                    a_message_replayed_by_whatsapp_is_no_second_wish,
                    a_start_that_comes_behind_a_later_stop_is_not_the_last_word,
                    the_answer_is_the_one_message_that_still_goes,
                    where_consent_is_needed_only_who_agreed_or_wrote_is_written_to,
                    what_another_node_wrote_holds_here_at_once,
                    what_was_undone_guards_nothing_and_what_was_done_guards_after_a_restart,
                    opt_outs_are_listed_newest_first_by_pages_and_cursors,
                    no_order_of_things_lets_a_message_leave_to_somebody_who_opted_out,
                ],
                campaign_faults: [
                    a_lost_turn_is_made_once_and_what_can_not_be_read_is_stopped,
                ],
                campaigns: [
                    a_campaign_goes_through_its_states_and_tells_them,
                    a_turn_that_comes_twice_or_breaks_doubles_nobody,
                    campaigns_and_ordinary_sends_share_the_caps_of_an_account,
                    accounts_share_the_work_and_one_that_is_limited_leaves,
                    a_banned_account_leaves_and_one_that_is_silent_is_waited_for,
                    cold_contacts_have_a_budget_and_known_people_do_not,
                    known_people_are_found_behind_strangers,
                    who_sleeps_is_not_looked_at_until_the_morning,
                    the_file_of_a_campaign_stays_as_long_as_the_campaign,
                    who_opted_out_or_was_erased_gets_nothing,
                    an_account_tells_when_it_fares_otherwise,
                    five_thousand_over_three_days_each_once,
                ],
                scheduled: [
                    a_dated_message_waits_outside_the_outbox_and_goes_when_it_is_due,
                    what_is_due_goes_in_the_order_of_the_dates,
                    ten_thousand_that_are_due_at_once_go_once,
                    what_was_missed_past_its_deadline_fails_and_says_why,
                    what_is_held_past_its_deadline_goes_when_its_date_is_set_before_that,
                    a_date_and_a_text_can_be_changed_until_it_goes,
                    a_dated_message_finds_the_chat_that_its_recipient_has_by_now,
                    a_dated_message_is_counted_keyed_and_listed,
                    old_messages_are_swept_but_not_those_that_wait_for_their_date,
                    a_run_moves_its_schedule_on_once,
                    recurring_sends_have_names_limits_and_owners,
                    a_dated_message_is_sent_again_after_a_restart_by_its_date,
                    a_recurring_send_that_can_not_be_read_stops_no_other,
                ],
                templates: [
                    an_edit_makes_a_version_and_old_ones_stay,
                    a_name_is_taken_once_in_a_language,
                    the_file_of_a_template_stays_as_long_as_the_template,
                ],
                lists: [
                    messages_are_filtered_by_everything_a_person_would_want,
                    pages_count_all_and_show_some,
                    a_remembered_count_is_never_behind_what_was_answered,
                    a_cursor_misses_and_repeats_nothing_while_messages_arrive,
                    everybodys_messages_go_on_behind_a_cursor,
                    chats_are_listed_by_their_newest_message,
                    a_talkative_chat_costs_a_page_and_hides_nobody,
                    who_came_is_counted_by_day,
                    another_users_message_is_not_there,
                    events_follow_a_cursor_without_gaps,
                    a_corrupt_row_is_named,
                ],
            }
        }
    };
}

on!(sqlite, Sqlite);
on!(postgres, Postgres);
