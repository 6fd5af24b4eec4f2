package config

// foreign are keys of Apache Kafka's broker that Tideline refuses, because to pass over them would do
// something else than what they say: the data would lie elsewhere, a policy would not be asked. What
// does their work is named, which spares who brings a server.properties along a search.
var foreign = map[string]string{
	"log.dir":                                "Tideline keeps everything in data.dir",
	"log.dirs":                               "Tideline keeps everything in data.dir",
	"metadata.log.dir":                       "Tideline keeps everything in data.dir",
	"process.roles":                          "every Tideline broker may be a controller; see cluster.seeds",
	"controller.quorum.voters":               "the first controllers are cluster.seeds",
	"controller.quorum.bootstrap.servers":    "the first controllers are cluster.seeds",
	"controller.listener.names":              "brokers talk to each other on rpc.listener",
	"inter.broker.listener.name":             "brokers talk to each other on rpc.listener",
	"security.inter.broker.protocol":         "brokers talk to each other on rpc.listener",
	"zookeeper.connect":                      "there is no ZooKeeper; the first controllers are cluster.seeds",
	"remote.log.storage.manager.class.name":  "the object store is object.store",
	"remote.log.storage.manager.class.path":  "the object store is object.store",
	"remote.log.metadata.manager.class.name": "what is in the object store is in the metadata",
	"remote.log.metadata.manager.class.path": "what is in the object store is in the metadata",
	"create.topic.policy.class.name":         "there are no classes to load; who may create topics is a matter of ACLs",
	"alter.config.policy.class.name":         "there are no classes to load; who may change settings is a matter of ACLs",
	"client.quota.callback.class":            "there are no classes to load; see the quotas of users and clients",
	"config.providers":                       "values may come from the environment instead",
	"security.providers":                     "there are no providers of Java; remove it",
	"host.name":                              "see listeners",
	"port":                                   "see listeners",
}
