package main

import (
	"context"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

const keyMeta = "kafka_key"

func init() {
	spec := service.NewConfigSpec().Fields(
		service.NewStringListField("seed_brokers"),
		service.NewStringField("topic"),
		service.NewStringField("consumer_group"),
		service.NewDurationField("commit_period"),
		service.NewIntField("batch_records"),
	)
	service.MustRegisterBatchInput("kafka", spec, func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchInput, error) {
		input, err := newKafkaInput(conf)
		if err != nil {
			return nil, err
		}
		return service.AutoRetryNacksBatched(input), nil
	})
}

// kafkaInput reads one topic in a consumer group. An offset is committed once all records before it are written.
type kafkaInput struct {
	options      []kgo.Opt
	batchRecords int

	client *kgo.Client
	// Fetched records that are not read yet; only ReadBatch uses it.
	fetched []kgo.FetchTopicPartition

	mutex      sync.Mutex
	partitions map[int32]*unwritten
}

// unwritten has the batches of a partition that are not written yet, in their order.
type unwritten struct {
	batches []*inFlight
}

type inFlight struct {
	last    *kgo.Record
	written bool
}

func newKafkaInput(conf *service.ParsedConfig) (*kafkaInput, error) {
	brokers, err := conf.FieldStringList("seed_brokers")
	if err != nil {
		return nil, err
	}
	topic, err := conf.FieldString("topic")
	if err != nil {
		return nil, err
	}
	group, err := conf.FieldString("consumer_group")
	if err != nil {
		return nil, err
	}
	period, err := conf.FieldDuration("commit_period")
	if err != nil {
		return nil, err
	}
	input := &kafkaInput{partitions: map[int32]*unwritten{}}
	if input.batchRecords, err = conf.FieldInt("batch_records"); err != nil {
		return nil, err
	}
	input.options = []kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// As the other jobs of this benchmark.
		kgo.FetchMaxBytes(8 << 20),
		kgo.FetchMaxPartitionBytes(1 << 20),
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(period),
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, revoked map[string][]int32) {
			// Its error is that of a group that has gone on: the records are read again then.
			_ = client.CommitMarkedOffsets(ctx)
			input.forget(revoked[topic])
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { input.forget(lost[topic]) }),
	}
	return input, nil
}

func (k *kafkaInput) Connect(context.Context) error {
	if k.client != nil {
		return nil
	}
	client, err := kgo.NewClient(k.options...)
	k.client = client
	return err
}

func (k *kafkaInput) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	for len(k.fetched) == 0 {
		fetches := k.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, nil, err
		}
		fetches.EachPartition(func(partition kgo.FetchTopicPartition) {
			if len(partition.Records) > 0 {
				k.fetched = append(k.fetched, partition)
			}
		})
	}
	first := &k.fetched[0]
	records := first.Records[:min(k.batchRecords, len(first.Records))]
	if first.Records = first.Records[len(records):]; len(first.Records) == 0 {
		k.fetched = k.fetched[1:]
	}
	batch := make(service.MessageBatch, len(records))
	for i, record := range records {
		batch[i] = message(record)
	}
	return batch, k.track(records[len(records)-1]), nil
}

// message has the metadata that Connect gives a message of Kafka.
func message(record *kgo.Record) *service.Message {
	message := service.NewMessage(record.Value)
	message.MetaSetMut(keyMeta, record.Key)
	message.MetaSetMut("kafka_topic", record.Topic)
	message.MetaSetMut("kafka_partition", int(record.Partition))
	message.MetaSetMut("kafka_offset", int(record.Offset))
	message.MetaSetMut("kafka_timestamp_unix", record.Timestamp.Unix())
	message.MetaSetMut("kafka_timestamp_ms", record.Timestamp.UnixMilli())
	message.MetaSetMut("kafka_tombstone_message", record.Value == nil)
	for _, header := range record.Headers {
		message.MetaSetMut(header.Key, string(header.Value))
	}
	return message
}

// track returns the function that is called once the batch up to this record is written.
func (k *kafkaInput) track(last *kgo.Record) service.AckFunc {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	partition := k.partitions[last.Partition]
	if partition == nil {
		partition = &unwritten{}
		k.partitions[last.Partition] = partition
	}
	batch := &inFlight{last: last}
	partition.batches = append(partition.batches, batch)
	return func(_ context.Context, err error) error {
		if err != nil {
			return nil
		}
		k.mutex.Lock()
		defer k.mutex.Unlock()
		batch.written = true
		// Of a partition that went to another member nothing may be committed.
		if k.partitions[last.Partition] != partition {
			return nil
		}
		for len(partition.batches) > 0 && partition.batches[0].written {
			k.client.MarkCommitRecords(partition.batches[0].last)
			partition.batches = partition.batches[1:]
		}
		return nil
	}
}

func (k *kafkaInput) forget(partitions []int32) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	for _, partition := range partitions {
		delete(k.partitions, partition)
	}
}

func (k *kafkaInput) Close(ctx context.Context) error {
	if k.client == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := k.client.CommitMarkedOffsets(ctx)
	k.client.Close()
	return err
}
