-- One new row: the ratings that went through a night's checks.
insert into materializations (relation, data_digest, built_at)
values ('checks', $data_digest, current_timestamp::timestamp);
