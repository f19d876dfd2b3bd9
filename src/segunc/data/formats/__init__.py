"""Raw formats, one file each: `read(*, ...)` yields an `ImageRecord` per image, or `Dropped` with a reason.

Its keyword-only arguments are the options of the config, those annotated `Path` the raw data; the comment behind an
argument becomes the option's description. The config finds a format by the name of its file. What several formats need
(archives, pictures, DICOM, tables) belongs in `segunc.data`.
"""
