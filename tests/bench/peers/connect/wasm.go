package main

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

func init() {
	spec := service.NewConfigSpec().Fields(service.NewStringField("module_path"), service.NewStringField("function").Default("process"))
	service.MustRegisterBatchProcessor("wasm", spec, func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchProcessor, error) {
		return newWasmProcessor(conf)
	})
}

// wasmProcessor calls a function of a module once for each message, as Connect's `wasm` does: a module for each batch in progress, taken
// from a pool, which reads and changes the message through functions of the host.
type wasmProcessor struct {
	binary   []byte
	function string
	pool     sync.Pool
}

func newWasmProcessor(conf *service.ParsedConfig) (*wasmProcessor, error) {
	path, err := conf.FieldString("module_path")
	if err != nil {
		return nil, err
	}
	function, err := conf.FieldString("function")
	if err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	processor := &wasmProcessor{binary: binary, function: function}
	// A module that can't be loaded is an error at the start.
	module, err := processor.load()
	if err != nil {
		return nil, err
	}
	processor.pool.Put(module)
	return processor, nil
}

// wasmModule is a running module with the message that it processes.
type wasmModule struct {
	runtime  wazero.Runtime
	module   api.Module
	process  api.Function
	allocate api.Function
	free     api.Function

	message *service.Message
	failure error
}

func (p *wasmProcessor) load() (*wasmModule, error) {
	ctx := context.Background()
	module := &wasmModule{runtime: wazero.NewRuntime(ctx)}
	builder := module.runtime.NewHostModuleBuilder("benthos_wasm")
	builder.NewFunctionBuilder().WithFunc(module.messageBytes).Export("v0_msg_as_bytes")
	builder.NewFunctionBuilder().WithFunc(module.setBytes).Export("v0_msg_set_bytes")
	builder.NewFunctionBuilder().WithFunc(module.setMeta).Export("v0_msg_set_meta")
	_, err := builder.Instantiate(ctx)
	if err == nil {
		_, err = wasi_snapshot_preview1.Instantiate(ctx, module.runtime)
	}
	if err == nil {
		module.module, err = module.runtime.Instantiate(ctx, p.binary)
	}
	if err != nil {
		return nil, errors.Join(err, module.runtime.Close(ctx))
	}
	module.process = module.module.ExportedFunction(p.function)
	module.allocate = module.module.ExportedFunction("allocate")
	module.free = module.module.ExportedFunction("deallocate")
	if module.process == nil || module.allocate == nil || module.free == nil {
		return nil, errors.Join(errors.New("the module lacks an export"), module.runtime.Close(ctx))
	}
	return module, nil
}

func (p *wasmProcessor) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	module, _ := p.pool.Get().(*wasmModule)
	if module == nil {
		var err error
		if module, err = p.load(); err != nil {
			return nil, err
		}
	}
	defer p.pool.Put(module)
	for _, message := range batch {
		module.message, module.failure = message, nil
		if _, err := module.process.Call(ctx); err != nil {
			return nil, err
		}
		if module.failure != nil {
			message.SetError(module.failure)
		}
	}
	return []service.MessageBatch{batch}, nil
}

func (p *wasmProcessor) Close(ctx context.Context) error {
	for {
		module, _ := p.pool.Get().(*wasmModule)
		if module == nil {
			return nil
		}
		if err := module.runtime.Close(ctx); err != nil {
			return err
		}
	}
}

// messageBytes gives the guest a copy of the message, which the guest then owns.
func (m *wasmModule) messageBytes(ctx context.Context) uint64 {
	bytes, err := m.message.AsBytes()
	if err != nil {
		m.failure = err
		return 0
	}
	results, err := m.allocate.Call(ctx, uint64(len(bytes)))
	if err != nil {
		m.failure = err
		return 0
	}
	if !m.module.Memory().Write(uint32(results[0]), bytes) {
		m.failure = errors.New("the guest allocated outside of its memory")
		return 0
	}
	return results[0]<<32 | uint64(len(bytes))
}

func (m *wasmModule) setBytes(ctx context.Context, pointer, size uint32) {
	if bytes, ok := m.take(ctx, pointer, size); ok {
		m.message.SetBytes(bytes)
	}
}

func (m *wasmModule) setMeta(ctx context.Context, keyPointer, keySize, pointer, size uint32) {
	key, hasKey := m.take(ctx, keyPointer, keySize)
	value, hasValue := m.take(ctx, pointer, size)
	if hasKey && hasValue {
		m.message.MetaSetMut(string(key), string(value))
	}
}

// take copies bytes of the guest, and frees them there.
func (m *wasmModule) take(ctx context.Context, pointer, size uint32) ([]byte, bool) {
	bytes, ok := m.module.Memory().Read(pointer, size)
	if !ok {
		m.failure = errors.New("the guest points outside of its memory")
		return nil, false
	}
	taken := append([]byte(nil), bytes...)
	if _, err := m.free.Call(ctx, uint64(pointer), uint64(size)); err != nil {
		m.failure = err
		return nil, false
	}
	return taken, true
}
