-- One row, new or replaced: a cell that has ended was asked for once more.
insert or replace into experiment_requests (fingerprint, requested_at)
values ($fingerprint, $requested_at);
