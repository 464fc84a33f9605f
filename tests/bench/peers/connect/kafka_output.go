package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	spec := service.NewConfigSpec().Fields(
		service.NewStringListField("seed_brokers"),
		service.NewInterpolatedStringField("topic"),
		service.NewInterpolatedStringField("timestamp_ms"),
		service.NewDurationField("linger"),
		service.NewOutputMaxInFlightField(),
	)
	service.MustRegisterBatchOutput("kafka", spec,
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			output, inFlight, err := newKafkaOutput(conf)
			return output, service.BatchPolicy{}, inFlight, err
		})
}

// kafkaOutput writes a batch to the topics that its messages choose, under the keys of the records they came from. In Connect the key is
// a text with interpolations, too, but that of a record without a key would be empty instead of null.
type kafkaOutput struct {
	options   []kgo.Opt
	topic     *service.InterpolatedString
	timestamp *service.InterpolatedString
	client    *kgo.Client
}

func newKafkaOutput(conf *service.ParsedConfig) (*kafkaOutput, int, error) {
	brokers, err := conf.FieldStringList("seed_brokers")
	if err != nil {
		return nil, 0, err
	}
	topic, err := conf.FieldInterpolatedString("topic")
	if err != nil {
		return nil, 0, err
	}
	timestamp, err := conf.FieldInterpolatedString("timestamp_ms")
	if err != nil {
		return nil, 0, err
	}
	linger, err := conf.FieldDuration("linger")
	if err != nil {
		return nil, 0, err
	}
	inFlight, err := conf.FieldMaxInFlight()
	options := []kgo.Opt{
		kgo.SeedBrokers(brokers...),
		// Idempotent with all acknowledgements is the client's default.
		kgo.ProducerLinger(linger),
		kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	}
	return &kafkaOutput{options: options, topic: topic, timestamp: timestamp}, inFlight, err
}

func (k *kafkaOutput) Connect(context.Context) error {
	if k.client != nil {
		return nil
	}
	client, err := kgo.NewClient(k.options...)
	k.client = client
	return err
}

func (k *kafkaOutput) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	records := make([]kgo.Record, len(batch))
	for i, message := range batch {
		if err := k.fill(&records[i], message); err != nil {
			return err
		}
	}
	var written sync.WaitGroup
	var mutex sync.Mutex
	var failures []error
	written.Add(len(records))
	for i := range records {
		k.client.Produce(ctx, &records[i], func(_ *kgo.Record, err error) {
			if err != nil {
				mutex.Lock()
				failures = append(failures, err)
				mutex.Unlock()
			}
			written.Done()
		})
	}
	written.Wait()
	return errors.Join(failures...)
}

func (k *kafkaOutput) fill(record *kgo.Record, message *service.Message) (err error) {
	if record.Value, err = message.AsBytes(); err != nil {
		return err
	}
	if record.Topic, err = k.topic.TryString(message); err != nil {
		return err
	}
	if key, found := message.MetaGetMut(keyMeta); found {
		record.Key, _ = key.([]byte)
	}
	timestamp, err := k.timestamp.TryString(message)
	if err != nil {
		return err
	}
	millis, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return err
	}
	record.Timestamp = time.UnixMilli(millis)
	return nil
}

func (k *kafkaOutput) Close(context.Context) error {
	if k.client != nil {
		k.client.Close()
	}
	return nil
}
