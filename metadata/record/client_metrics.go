package record

// SetClientMetrics changes settings of a subscription to the metrics of
// clients (KIP-714), which need not be there: which metrics, how often, of
// which clients.
type SetClientMetrics struct {
	Name    string
	Changes []ConfigChange
}

// Type implements Command.
func (*SetClientMetrics) Type() Type { return TypeSetClientMetrics }

func (c *SetClientMetrics) code(k *coder, _ uint8) {
	k.str(&c.Name, MaxSubscriptionName)
	list(k, &c.Changes, MaxConfigs, 3, codeConfigChange)
}

// ClientMetrics are the settings of one subscription.
type ClientMetrics struct {
	Name    string
	Configs Configs
}

func (c *ClientMetrics) codeState(k *coder, _ uint8) {
	k.str(&c.Name, MaxSubscriptionName)
	k.configs(&c.Configs)
}
