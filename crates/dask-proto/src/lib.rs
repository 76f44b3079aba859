//! What client, scheduler and workers say to each other, and how it becomes bytes.
