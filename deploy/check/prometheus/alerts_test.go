package prometheus

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/promqltest"
)

// alertCase is series on which an alert fires at the end of an hour and a half, and some on which it is quiet. A sample comes every minute; {}
// stands for the labels that the scrape gives.
type alertCase struct{ fires, quiet string }

// lastMinute is when alerts are asked.
const lastMinute = 90

var alertCases = map[string]alertCase{
	"TidelineBrokerDown":            {`up{} 1x80 0x20`, `up{} 1x40 0 1x60`},
	"TidelineOfflinePartitions":     {`tideline_partition_offline{} 0x80 3x20`, `tideline_partition_offline{} 0x100`},
	"TidelineUnderMinIsr":           {`tideline_partition_under_min_isr{} 0x80 1x20`, `tideline_partition_under_min_isr{} 0x89 1x10`},
	"TidelineUnderReplicated":       {`tideline_partition_under_replicated{} 2x100`, `tideline_partition_under_replicated{} 0x84 2x20`},
	"TidelineNoController":          {`tideline_controller_active{} 0x100`, "tideline_controller_active{} 1x100\ntideline_controller_active{b} 0x100"},
	"TidelineUncleanElection":       {`tideline_controller_unclean_elections_total{} 0x80 1x20`, `tideline_controller_unclean_elections_total{} 0x40 1x60`},
	"TidelineReplicationLag":        {`tideline_replication_follower_lag_seconds{,follower="2"} 0+10x100`, `tideline_replication_follower_lag_seconds{,follower="2"} 5x100`},
	"TidelineMetadataHalted":        {`tideline_metadata_is_halted{} 0x80 1x20`, `tideline_metadata_is_halted{} 0x100`},
	"TidelineWalFillingUp":          {"tideline_wal_full_in_seconds{} 7200x100\ntideline_wal_used_bytes{} 50x100\ntideline_wal_max_bytes{} 100x100", "tideline_wal_full_in_seconds{} 90000x100\ntideline_wal_used_bytes{} 50x100\ntideline_wal_max_bytes{} 100x100"},
	"TidelineWalAlmostFull":         {"tideline_wal_used_bytes{} 86x100\ntideline_wal_max_bytes{} 100x100", "tideline_wal_used_bytes{} 80x100\ntideline_wal_max_bytes{} 100x100"},
	"TidelineWalFailed":             {`tideline_wal_failed{} 1x100`, `tideline_wal_failed{} 0x100`},
	"TidelineWalCorrupt":            {`tideline_wal_corrupt_ranges_total{} 0x60 1x40`, `tideline_wal_corrupt_ranges_total{} 1x100`},
	"TidelineWalSyncSlow":           {histogram("tideline_wal_sync_seconds", "", "0.25", 50, 100), histogram("tideline_wal_sync_seconds", "", "0.25", 100, 100)},
	"TidelineDiskLow":               {"tideline_disk_free_bytes{} 5x100\ntideline_disk_total_bytes{} 100x100", "tideline_disk_free_bytes{} 50x100\ntideline_disk_total_bytes{} 100x100"},
	"TidelineObjectStoreDown":       {`tideline_tiering_store_down_state{} 1x100`, `tideline_tiering_store_down_state{} 0x89 1x10`},
	"TidelineRecoveryPointLag":      {`tideline_tiering_recovery_point_lag_seconds{} 0+60x100`, `tideline_tiering_recovery_point_lag_seconds{} 600x100`},
	"TidelineUploadsLate":           {`tideline_tiering_roll_overdue_seconds{} 0+30x100`, `tideline_tiering_roll_overdue_seconds{} 10x100`},
	"TidelinePartitionNotTiering":   {`tideline_tiering_faulty_partitions{} 1x100`, `tideline_tiering_faulty_partitions{} 0x100`},
	"TidelineObjectStoreErrors":     {objects("exhausted", 20), objects("recovered", 20)},
	"TidelineObjectsSmall":          {"tideline_tiering_upload_bytes_total{,kind=\"bundle\"} 0+1000000x100\ntideline_tiering_upload_objects_total{,kind=\"bundle\"} 0+100x100", "tideline_tiering_upload_bytes_total{,kind=\"bundle\"} 0+100000000x100\ntideline_tiering_upload_objects_total{,kind=\"bundle\"} 0+100x100"},
	"TidelineGarbageOverdue":        {`tideline_tiering_garbage_overdue_seconds{} 90000x100`, `tideline_tiering_garbage_overdue_seconds{} 900x100`},
	"TidelineColdReadCorrupt":       {`tideline_coldread_corrupt_blocks_total{} 0x60 1x40`, `tideline_coldread_corrupt_blocks_total{} 0x100`},
	"TidelineProduceSlow":           {`tideline:request_seconds:p99{,api="Produce"} 2x100`, `tideline:request_seconds:p99{,api="Fetch"} 2x100`},
	"TidelineFetchSlow":             {histogram("tideline_fetch_stage_seconds", `,stage="object"`, "5", 10, 100), histogram("tideline_fetch_stage_seconds", `,stage="purgatory"`, "5", 10, 100)},
	"TidelineServerErrors":          {`tideline_api_errors_total{,api="Produce",error="KAFKA_STORAGE_ERROR"} 0+60x100`, `tideline_api_errors_total{,api="Produce",error="NOT_LEADER_FOR_PARTITION"} 0+60x100`},
	"TidelinePanics":                {"tideline_api_panics_total{} 0x80 1x20\ntideline_server_handler_panics_total{} 0x100", "tideline_api_panics_total{} 0x100\ntideline_server_handler_panics_total{} 0x100"},
	"TidelineProducersThrottled":    {`tideline_api_throttled_appends_total{} 0+1x100`, `tideline_api_throttled_appends_total{} 7x100`},
	"TidelineGroupFallsBehind":      {`tideline:group_lag_records:sum{,group="g",topic="t"} 0+5000x100`, `tideline:group_lag_records:sum{,group="g",topic="t"} 900000-5000x100`},
	"TidelineLateTransactions":      {`tideline_partition_late_transactions{} 1x100`, `tideline_partition_late_transactions{} 0x100`},
	"TidelineCertificateExpires":    {`tideline_tls_certificate_expiry_seconds{,listener="L"} 864000x100`, `tideline_tls_certificate_expiry_seconds{,listener="L"} 8640000x100`},
	"TidelineCompactionFails":       {`tideline_tiering_compact_failures_total{} 0+1x100`, `tideline_tiering_compact_failures_total{} 0x60 1x40`},
	"TidelineRequestsWaitForMemory": {`tideline_server_admission_waiting{} 3x100`, `tideline_server_admission_waiting{} 0x88 3x10`},
	"TidelineAuditDropped":          {`tideline_audit_dropped_total{} 0x80 4x20`, `tideline_audit_dropped_total{} 4x100`},
	"TidelineCoordinatorCannotLoad": {"tideline_group_coordinator_load_failures_total{} 0+1x100\ntideline_transaction_coordinator_load_failures_total{} 0x100", "tideline_group_coordinator_load_failures_total{} 0x80 1x20\ntideline_transaction_coordinator_load_failures_total{} 0x100"},
}

// histogram is one of which fast in a minute are below a bound, of all.
func histogram(name, labels, bound string, fast, all int) string {
	return fmt.Sprintf("%s_bucket{%s,le=%q} 0+%dx100\n%s_bucket{%s,le=\"10\"} 0+%dx100\n%s_bucket{%s,le=\"+Inf\"} 0+%dx100",
		name, labels, bound, fast, name, labels, all, name, labels, all)
}

// objects are calls to the object store of which failed in a hundred have another outcome than ok.
func objects(outcome string, failed int) string {
	return fmt.Sprintf("tideline_objstore_operations_total{,operation=\"put\",kind=\"data\",outcome=\"ok\"} 0+%dx100\n"+
		"tideline_objstore_operations_total{,operation=\"put\",kind=\"data\",outcome=%q} 0+%dx100", 100-failed, outcome, failed)
}

var labelled = regexp.MustCompile(`\{(b?)(,?)`)

// loaded turns series into what Prometheus' test storage loads.
func loaded(series string) string {
	var b strings.Builder
	b.WriteString("load 1m\n")
	for line := range strings.SplitSeq(series, "\n") {
		line = labelled.ReplaceAllStringFunc(line, func(at string) string {
			instance := "a"
			if strings.HasPrefix(at, "{b") {
				instance = "b"
			}
			comma := ""
			if strings.HasSuffix(at, ",") {
				comma = ","
			}
			return fmt.Sprintf(`{job="tideline",cluster="c",instance=%q%s`, instance, comma)
		})
		line = strings.ReplaceAll(line, ",,", ",")
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return b.String()
}

// TestAlertsFire: each alert fires on series as it is made for, and not on others.
func TestAlertsFire(t *testing.T) {
	_, alerts := rules(t)
	for name := range alerts {
		if _, ok := alertCases[name]; !ok {
			t.Errorf("%s is not tested", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(alertCases)) {
		rule, ok := alerts[name]
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		for series, fires := range map[string]bool{alertCases[name].fires: true, alertCases[name].quiet: false} {
			storage := promqltest.LoadedStorage(t, loaded(series))
			engine := promqltest.NewTestEngine(t, false, 0, 1_000_000)
			firing := true
			// It fires when its expression holds from the beginning of its time to the end.
			for at := lastMinute*time.Minute - time.Duration(rule.For); at <= lastMinute*time.Minute; at += time.Minute {
				query, err := engine.NewInstantQuery(t.Context(), storage, nil, rule.Expr, time.Unix(0, 0).Add(at))
				if err != nil {
					t.Fatal(err)
				}
				vector, err := query.Exec(t.Context()).Vector()
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				firing = firing && len(vector) > 0
				query.Close()
			}
			if firing != fires {
				t.Errorf("%s: firing=%v, want %v, on\n%s", name, firing, fires, loaded(series))
			}
		}
	}
}
