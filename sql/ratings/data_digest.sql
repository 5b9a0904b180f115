-- One row: what has been taken in, in one word; the same wherever the folder lies. The order of
-- the paths is part of it, since of undated ratings that of the later path stands.
with contents as (
    select
        string_agg(
            concat_ws(':', role, layout, parse_filename(path), sha256), chr(10)
            order by path
        ) as lines
    from source_files
),

scale as (
    select string_agg(concat_ws(':', minimum, maximum, step, declared), ',') as line
    from rating_scale
)

select sha256(concat_ws(chr(10), contents.lines, scale.line)) as data_digest
from contents
cross join scale;
