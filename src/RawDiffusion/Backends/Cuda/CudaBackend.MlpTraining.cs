using System.Runtime.CompilerServices;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    /// <summary>
    /// The training of a small network by <c>kernels/mlp_train.cu</c>: many steps in a launch. Its blocks wait for each other, so there
    /// are no more than multiprocessors: each holds one at least, and whatever else is on the device ends without them.
    /// </summary>
    internal sealed class MlpTraining : IDisposable
    {
        /// <summary>Steps of a launch, at most.</summary>
        public const int MostSteps = 1024;

        private const int Threads = 256, Rows = 8, ScratchFloats = 4096, MostParts = 64, Piece = 256;

        // Of the results: the count of blocks that arrived, in a line of its own, since all look at it.
        private const int ArrivedFloats = 32;

        // Of the hidden layers; the kernel is compiled for each.
        private static readonly int[] s_widths = [32, 64, 128, 256];

        private static readonly KernelSlot[] s_kernels =
            Array.ConvertAll(s_widths, width => new KernelSlot("mlp_train.cu", "mlp_train", $"-DWIDTH={width}"));

        private readonly CudaBackend _backend;
        private readonly MlpTrainShape _shape;
        private readonly MlpTrainStorages _storages;
        private readonly CudaKernel _kernel;
        private readonly int _parts, _blocks, _sharedBytes;
        private readonly DeviceBuffer _components, _steps, _turned, _partGradients, _partLosses, _squares, _results;
        private readonly MlpTrainStep[] _moves = new MlpTrainStep[MostSteps];
        private readonly float[] _downloaded = new float[2 * MostSteps];

        /// <param name="blocks">The most blocks to use; null: what suits the device. The bits are the same.</param>
        /// <exception cref="NotSupportedException">The kernel or the device cannot do it: <see cref="Obstacle"/>.</exception>
        public MlpTraining(
            CudaBackend backend, MlpTrainShape shape, MlpTrainStorages storages, ReadOnlySpan<MlpMixtureComponent> mixture, int? blocks = null)
        {
            if (Obstacle(backend, shape) is { } obstacle)
                throw new NotSupportedException(obstacle);
            (_backend, _shape, _storages) = (backend, shape, storages);
            _kernel = backend._kernels[s_kernels[Array.IndexOf(s_widths, shape.Width)]];
            _parts = Math.Min(MostParts, CeilDiv(shape.Batch, Rows));
            _blocks = Math.Min(_parts, blocks ?? backend.Context.Multiprocessors);
            _sharedBytes = SharedBytes(shape);
            int length = storages.Values.Length;
            _components = Take(4 * 2L * mixture.Length, "mixture");
            _steps = Take(MostSteps * (long)Unsafe.SizeOf<MlpTrainStep>() / sizeof(float), "steps");
            _turned = Take((long)shape.Width * (shape.TimeWidth + (shape.Layers - 1) * shape.Width), "turned weights");
            _partGradients = Take((long)_parts * length, "gradients of parts");
            _partLosses = Take(_parts, "losses of parts");
            _squares = Take(CeilDiv(length, Piece), "squares");
            _results = Take(ArrivedFloats + 2 * MostSteps, "losses and norms");
            _components.CopyFrom(mixture);
            // Between parameters the arena has gaps, which are read with the rest.
            _partGradients.Clear();

            DeviceBuffer Take(long floats, string owner) => backend.Context.Allocate(floats * sizeof(float), owner);
        }

        /// <summary>Why the kernel cannot train this network on this device; null where it can.</summary>
        public static string? Obstacle(CudaBackend backend, MlpTrainShape shape)
        {
            if (!s_widths.Contains(shape.Width))
                return $"the hidden layers must be 32, 64, 128 or 256 wide, not {shape.Width}";
            if (shape.TimeWidth % 4 != 0 || shape.TimeWidth > shape.Width)
                return $"the embedding of the time must have a multiple of 4 elements and at most {shape.Width}, not {shape.TimeWidth}";
            if (shape.Layers > MlpTrainArguments.MaxLayers)
                return $"there must be at most {MlpTrainArguments.MaxLayers} hidden layers, not {shape.Layers}";
            return SharedBytes(shape) > backend.Context.MaxSharedBytes
                ? $"{SharedBytes(shape)} bytes of shared memory are needed and {backend.Context.Name} has {backend.Context.MaxSharedBytes}"
                : null;
        }

        /// <summary>
        /// Makes steps, and waits for them. A step whose loss or gradient norm is not finite is the last that has results; it and those
        /// behind it have changed nothing.
        /// </summary>
        /// <param name="maxNorm">The gradient's largest norm; infinity for no limit.</param>
        /// <param name="losses">Of each step.</param>
        /// <param name="norms">The gradient's norm in each step, before clipping.</param>
        public void Run(ReadOnlySpan<MlpTrainMove> moves, double maxNorm, Span<float> losses, Span<float> norms)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(moves.Length, MostSteps);
            if (moves.Length == 0)
                return;
            for (int i = 0; i < moves.Length; i++)
                _moves[i] = new MlpTrainStep(moves[i], maxNorm);
            lock (_backend._stagingLock)
                _backend._staging.Upload<MlpTrainStep>(_moves.AsSpan(0, moves.Length), _steps.Pointer);
            _results.Clear();
            _kernel.LaunchWith(Arguments(moves), _blocks, Threads, _sharedBytes);
            var results = _downloaded.AsSpan(0, 2 * moves.Length);
            _results.CopyTo(results, ArrivedFloats * sizeof(float));
            results[..moves.Length].CopyTo(losses);
            results[moves.Length..].CopyTo(norms);
        }

        public void Dispose()
        {
            foreach (var buffer in (ReadOnlySpan<DeviceBuffer>)[_components, _steps, _turned, _partGradients, _partLosses, _squares, _results])
                buffer.Dispose();
        }

        private static int SharedBytes(MlpTrainShape shape) =>
            sizeof(float) * (ScratchFloats + Rows * shape.Width * (2 + 2 * shape.Layers) + 5 * 2 * Rows + 32 + Rows);

        private MlpTrainArguments Arguments(ReadOnlySpan<MlpTrainMove> moves)
        {
            var s = _storages;
            var arguments = new MlpTrainArguments
            {
                Data = new PhiloxStream(moves[0].Data with { Offset = 0 }, DevicePointer.Null),
                Noise = new PhiloxStream(moves[0].Noise with { Offset = 0 }, DevicePointer.Null),
                Steps = _steps.Pointer,
                Components = _components.Pointer,
                Alpha = P(s.Alpha),
                Sigma = P(s.Sigma),
                Embedding = P(s.Embedding),
                Values = P(s.Values),
                Gradients = P(s.Gradients),
                M = P(s.M),
                V = P(s.V),
                Average = PointerOrNull(s.Average),
                Turned = _turned.Pointer,
                PartGradient = _partGradients.Pointer,
                PartLoss = _partLosses.Pointer,
                Squares = _squares.Pointer,
                Losses = _results.Pointer + ArrivedFloats * sizeof(float),
                Norms = _results.Pointer + (ArrivedFloats + moves.Length) * sizeof(float),
                Arrived = _results.Pointer,
                StepCount = moves.Length,
                Batch = _shape.Batch,
                Parts = _parts,
                Times = s.Alpha.Length,
                TimeWidth = _shape.TimeWidth,
                Layers = _shape.Layers,
                Target = (int)_shape.Target,
                Length = s.Values.Length,
                TimeWeight = _shape.TimeWeight,
                TimeBias = _shape.TimeBias,
                OutputWeight = _shape.OutputWeight,
                OutputBias = _shape.OutputBias,
            };
            for (int i = 0; i < _shape.Layers; i++)
                (arguments.HiddenWeight[i], arguments.HiddenBias[i]) = _shape.Hidden[i];
            return arguments;
        }
    }
}
