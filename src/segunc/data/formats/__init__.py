"""Raw formats, one file each: `read(*, ...)` yields `segunc.data.store.Record`s."""
