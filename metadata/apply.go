package metadata

import (
	"github.com/tidelinehq/tideline/metadata/record"
)

// Apply returns the image after a command at an index of the log, and the
// command's result. It is pure: it depends on nothing but its arguments and
// leaves m as it was. A refused command changes nothing but the index.
func Apply(m *Image, index uint64, c record.Command) (*Image, Result) {
	e := m.edit(new(changes))
	r := e.apply(index, c)
	return e.done(), r
}

// apply runs one command on the edit.
func (e *edit) apply(index uint64, c record.Command) Result {
	e.index = index
	switch c := c.(type) {
	case *record.InitCluster:
		return e.initCluster(c)
	case *record.FinalizeFeatures:
		return Result{Reason: e.finalizeFeatures(c)}
	case *record.RegisterBroker:
		return e.registerBroker(c)
	case *record.FenceBroker:
		return Result{Reason: e.fence(c.ID, c.Epoch, true)}
	case *record.UnfenceBroker:
		return Result{Reason: e.fence(c.ID, c.Epoch, false)}
	case *record.ShutdownBroker:
		return Result{Reason: e.shutdownBroker(c)}
	case *record.DrainBroker:
		return Result{Reason: e.drainBroker(c)}
	case *record.RemoveBroker:
		return Result{Reason: e.removeBroker(c)}
	case *record.CreateTopic:
		return Result{Reason: e.createTopic(c)}
	case *record.DeleteTopic:
		return Result{Reason: e.deleteTopic(c)}
	case *record.CreatePartitions:
		return Result{Reason: e.createPartitions(c)}
	case *record.SetTopicConfig:
		return Result{Reason: e.setTopicConfig(c)}
	case *record.SetBrokerConfig:
		return Result{Reason: e.setBrokerConfig(c)}
	case *record.SetGroupConfig:
		return Result{Reason: e.setGroupConfig(c)}
	case *record.AllocateProducerIDs:
		return e.allocateProducerIDs(c)
	case *record.ChangePartition:
		return e.changePartitions(c)
	case *record.BeginUpload:
		return Result{Reason: e.beginUpload(c)}
	case *record.AbortUpload:
		return e.abortUpload(c)
	case *record.CommitUpload:
		return e.commitUpload(c)
	case *record.Spill:
		return e.spill(c)
	case *record.Retain:
		return e.retain(c)
	case *record.SetLogStart:
		return e.setLogStart(c)
	case *record.Replace:
		return e.replace(c)
	case *record.SetCleaned:
		return e.setCleaned(c)
	case *record.CollectGarbage:
		return Result{Reason: e.collectGarbage(c)}
	case *record.PurgeProgress:
		return e.purgeProgress(c)
	case *record.PurgeDone:
		return Result{Reason: e.purgeDone(c)}
	case *record.ChangeACLs:
		return Result{Reason: e.changeACLs(c)}
	case *record.SetRole:
		return Result{Reason: e.setRole(c)}
	case *record.RemoveRole:
		return Result{Reason: e.removeRole(c)}
	case *record.ChangeGrants:
		return Result{Reason: e.changeGrants(c)}
	case *record.ChangeScram:
		return Result{Reason: e.changeScram(c)}
	case *record.ChangeQuotas:
		return Result{Reason: e.changeQuotas(c)}
	case *record.SetToken:
		return Result{Reason: e.setToken(c)}
	case *record.RemoveToken:
		return Result{Reason: e.removeToken(c)}
	case *record.SetClientMetrics:
		return Result{Reason: e.setClientMetrics(c)}
	}
	// A type that decodes but is not here is a mistake of this release, and
	// every broker of the release makes it alike.
	return Result{Reason: record.Invalid}
}
