-- A type: what a rating is used for, or why a split's protocol leaves it out.
create type if not exists split_part as enum( -- noqa: PRS
    'train', 'dev', 'test', 'outside_window', 'other_file', 'unseen_user', 'unseen_movie'
);
