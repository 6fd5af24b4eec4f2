package record

// RegisterBroker announces a broker process. A new incarnation gets a new
// epoch (Result.BrokerEpoch), starts fenced, leads nothing until it is elected
// anew, and its older self's open uploads are closed; a repeat by the same incarnation updates the endpoints and keeps
// all else.
//
// A process that comes with the data directory of the older one, and found the
// log whole as far as it was synced, has lost nothing that was acknowledged and
// keeps its place in the ISRs and ELRs. With LostLog a new incarnation loses
// that place in the same command: it must never be elected for what it has not.
type RegisterBroker struct {
	ID          int32
	Incarnation ID
	Rack        string
	Endpoints   []Endpoint
	Features    []FeatureRange
	LostLog     bool  // the disk is new, or its log was found damaged
	Due         int64 // when objects of uploads left open may be deleted, Unix milliseconds
}

// Type implements Command.
func (*RegisterBroker) Type() Type { return TypeRegisterBroker }

func (c *RegisterBroker) code(k *coder, _ uint8) {
	k.i32(&c.ID)
	k.id(&c.Incarnation)
	k.str(&c.Rack, maxString)
	list(k, &c.Endpoints, maxEndpoints, 4, codeEndpoint)
	list(k, &c.Features, MaxFeatures, 3, codeFeatureRange)
	k.bool(&c.LostLog)
	k.i64(&c.Due)
}

func codeEndpoint(k *coder, e *Endpoint) {
	k.str(&e.Listener, 255)
	k.str(&e.Host, 1024)
	k.i32(&e.Port)
	k.str(&e.Protocol, 255)
}

func codeFeatureRange(k *coder, f *FeatureRange) {
	k.str(&f.Name, 255)
	k.i32(&f.Min)
	k.i32(&f.Max)
}

// FenceBroker takes a broker out of service: it may not lead. New leaders come
// with a ChangePartition command of the controller.
type FenceBroker struct {
	ID    int32
	Epoch int64
}

// Type implements Command.
func (*FenceBroker) Type() Type { return TypeFenceBroker }

func (c *FenceBroker) code(k *coder, _ uint8) {
	k.i32(&c.ID)
	k.i64(&c.Epoch)
}

// UnfenceBroker puts a broker into service.
type UnfenceBroker struct {
	ID    int32
	Epoch int64
}

// Type implements Command.
func (*UnfenceBroker) Type() Type { return TypeUnfenceBroker }

func (c *UnfenceBroker) code(k *coder, _ uint8) {
	k.i32(&c.ID)
	k.i64(&c.Epoch)
}

// ShutdownBroker begins the controlled shutdown of a broker in service: it
// takes no leadership and enters no ISR any more. Only a new incarnation ends it.
type ShutdownBroker struct {
	ID    int32
	Epoch int64
}

// Type implements Command.
func (*ShutdownBroker) Type() Type { return TypeShutdownBroker }

func (c *ShutdownBroker) code(k *coder, _ uint8) {
	k.i32(&c.ID)
	k.i64(&c.Epoch)
}

// DrainBroker begins, or with Draining unset calls off, the decommissioning of
// a broker. It names no epoch: the wish holds for every process of the broker.
type DrainBroker struct {
	ID       int32
	Draining bool
}

// Type implements Command.
func (*DrainBroker) Type() Type { return TypeDrainBroker }

func (c *DrainBroker) code(k *coder, _ uint8) {
	k.i32(&c.ID)
	k.bool(&c.Draining)
}

// RemoveBroker forgets a fenced broker that holds no replica (decommission).
// Its open uploads are closed.
type RemoveBroker struct {
	ID  int32
	Due int64 // when objects of uploads left open may be deleted, Unix milliseconds
}

// Type implements Command.
func (*RemoveBroker) Type() Type { return TypeRemoveBroker }

func (c *RemoveBroker) code(k *coder, _ uint8) {
	k.i32(&c.ID)
	k.i64(&c.Due)
}
