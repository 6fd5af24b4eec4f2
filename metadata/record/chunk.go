package record

// Chunking cuts changes that exceed MaxSize, or the bound of entries, into
// commands that do not. Estimates are upper bounds of the encoded size, and
// chunkBytes leaves room for the command's own fields.
const chunkBytes = MaxSize - 8<<10

// chunk cuts items so that no part has more than max items or chunkBytes. An
// item that is larger than that alone gets a part of its own, and Append will
// refuse it.
func chunk[T any](items []T, max, first int, size func(*T) int) [][]T {
	var parts [][]T
	start, bytes := 0, first
	for i := range items {
		n := size(&items[i])
		if i > start && (i-start >= max || bytes+n > chunkBytes) {
			parts = append(parts, items[start:i:i])
			start, bytes = i, 0
		}
		bytes += n
	}
	return append(parts, items[start:len(items):len(items)])
}

// ChunkCommit cuts a CommitUpload; only the last part keeps Last.
func ChunkCommit(c *CommitUpload) []*CommitUpload {
	parts := chunk(c.Entries, MaxCommitEntries, 0, func(*CommitEntry) int { return 200 })
	out := make([]*CommitUpload, len(parts))
	for i, p := range parts {
		out[i] = &CommitUpload{Object: c.Object, Bytes: c.Bytes, Entries: p, Last: c.Last && i == len(parts)-1, Due: c.Due}
	}
	return out
}

// ChunkSpill cuts a Spill; only the last part keeps Last.
func ChunkSpill(c *Spill) []*Spill {
	parts := chunk(c.Entries, MaxCommitEntries, 0, func(e *SpillEntry) int { return 100 + pageRefSize*len(e.Released) })
	out := make([]*Spill, len(parts))
	for i, p := range parts {
		out[i] = &Spill{Object: c.Object, Bytes: c.Bytes, Entries: p, Last: c.Last && i == len(parts)-1, Due: c.Due}
	}
	return out
}

// ChunkChange cuts a ChangePartition.
func ChunkChange(entries []PartitionChange) []*ChangePartition {
	if len(entries) == 0 {
		return nil
	}
	parts := chunk(entries, maxList, 0, (*PartitionChange).size)
	out := make([]*ChangePartition, len(parts))
	for i, p := range parts {
		out[i] = &ChangePartition{Entries: p}
	}
	return out
}

// ChunkCreate cuts the creation of a topic with very many partitions: what
// does not fit follows as CreatePartitions, to be proposed in order.
func ChunkCreate(c *CreateTopic) []Command {
	parts := chunkAssignments(c.Assignments, 256+c.Configs.bytes()+8*len(c.Configs))
	first := *c
	first.Assignments = parts[0]
	return append([]Command{&first}, growth(c.ID, int32(len(parts[0])), parts[1:])...)
}

// ChunkPartitions cuts a CreatePartitions, to be proposed in order.
func ChunkPartitions(c *CreatePartitions) []Command {
	return growth(c.Topic, c.From, chunkAssignments(c.Assignments, 0))
}

func chunkAssignments(a [][]int32, first int) [][][]int32 {
	return chunk(a, MaxPartitions, first, func(r *[]int32) int { return 1 + 5*len(*r) })
}

func growth(topic ID, from int32, parts [][][]int32) []Command {
	var out []Command
	for _, p := range parts {
		out = append(out, &CreatePartitions{Topic: topic, From: from, Assignments: p})
		from += int32(len(p))
	}
	return out
}

// ChunkCollect cuts a CollectGarbage.
func ChunkCollect(objects []ID) []*CollectGarbage {
	if len(objects) == 0 {
		return nil
	}
	parts := chunk(objects, maxList, 0, func(*ID) int { return 16 })
	out := make([]*CollectGarbage, len(parts))
	for i, p := range parts {
		out[i] = &CollectGarbage{Objects: p}
	}
	return out
}

const pageRefSize = 16 + 10 + 5 + 4
