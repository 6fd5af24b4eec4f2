package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/telemetry"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// Loggers are settings of a broker that are not kept: the parts of the broker and the least level
// of their lines (KIP-412). After a restart they are as logging.level says.

// logLevel describes them. As in Kafka they have neither a type nor documentation.
var logLevel = config.Setting{Update: config.PerBroker}

// loggersOf checks the name of a logger resource.
func (a *API) loggersOf(name string) error {
	id, err := a.brokerOf(name)
	if err == nil && id == command.DefaultBroker {
		err = fmt.Errorf("%w: broker id must not be empty", kerr.InvalidRequest)
	}
	return err
}

func (a *API) loggerEntries(name string) ([]config.Entry, error) {
	if err := a.loggersOf(name); err != nil {
		return nil, err
	}
	var entries []config.Entry
	for _, l := range a.Levels.All() {
		entries = append(entries, config.Entry{Setting: &logLevel, Name: l.Name, Value: l.Level, Source: config.SourceLogger})
	}
	return entries, nil
}

func (a *API) alterLoggers(_ context.Context, ch *configChange) error {
	if err := a.loggersOf(ch.name); err != nil {
		return err
	}
	for i := range ch.ops {
		if err := a.checkLogger(&ch.ops[i]); err != nil {
			return err
		}
	}
	if ch.validateOnly {
		return nil
	}
	for i := range ch.ops {
		op := &ch.ops[i]
		err := error(nil)
		if op.Kind == controller.OpDelete {
			err = a.Levels.ResetLevel(op.Key)
		} else {
			err = a.Levels.SetLevel(op.Key, op.Value)
		}
		if err != nil {
			return err // it was checked: a logger that is there does not go away
		}
	}
	return nil
}

// checkLogger says what is wrong with an operation, if anything is.
func (a *API) checkLogger(op *controller.ConfigOp) error {
	switch op.Kind {
	case controller.OpSet:
		if _, err := telemetry.ParseLevel(op.Value); err != nil {
			return fmt.Errorf("%w: logger=%s: %w", kerr.InvalidConfig, op.Key, err)
		}
	case controller.OpDelete:
		if op.Key == telemetry.RootLogger {
			return fmt.Errorf("%w: the root logger must have a level", kerr.InvalidRequest)
		}
	default:
		return fmt.Errorf("%w: operation=%d is not for loggers", kerr.InvalidRequest, op.Kind)
	}
	if !a.Levels.Known(op.Key) {
		return fmt.Errorf("%w: logger=%q: %w", kerr.InvalidConfig, op.Key, telemetry.ErrUnknownLogger)
	}
	return nil
}
