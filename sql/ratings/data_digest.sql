-- One row: what has been taken in, in one word; the same wherever the files lie.
with contents as (
    select
        string_agg(
            concat_ws(':', role, layout, sha256), chr(10)
            order by role, layout, sha256
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
