using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public static partial class F
    {
        /// <summary>
        /// x_t = alpha[n] x_0 + sigma[n] noise for every sample n of x0[n, ...], in one pass with the noise drawn inside. Gradients
        /// flow to x0 only.
        /// </summary>
        /// <returns>x_t, and the standard normal noise, both of the shape of x0.</returns>
        public static (Tensor Xt, Tensor Noise) ForwardDiffusion(Tensor x0, Tensor alpha, Tensor sigma, Generator generator)
        {
            CheckPerSample("forwardDiffusion", x0, alpha);
            CheckPerSample("forwardDiffusion", x0, sigma);
            if (GradMode.IsEnabled && (alpha.RequiresGrad || sigma.RequiresGrad))
                throw new ArgumentException("forwardDiffusion: alpha and sigma get no gradients; compose x0 * alpha + noise * sigma to learn a schedule.");
            var function = new ForwardDiffusionFunction(generator.Next(x0.Count));
            var xt = function.Apply(x0, alpha, sigma);
            return (xt, function.Noise!);
        }

        /// <summary>One fused step of a sampler, see <see cref="DiffusionStepCoefficients"/>, for a state x and a predicted noise eps.</summary>
        /// <param name="generator">Where the noise comes from; may be null when the noise scale is 0.</param>
        /// <exception cref="ArgumentNullException">The step adds noise and there is no generator.</exception>
        public static Tensor DiffusionStep(Tensor x, Tensor eps, in DiffusionStepCoefficients coefficients, Generator? generator = null)
        {
            CheckSame("diffusionStep", x, eps);
            if (coefficients.NoiseScale != 0 && generator is null)
                throw new ArgumentNullException(nameof(generator), "diffusionStep: a step that adds noise needs a generator.");
            var c = coefficients;
            if (GradMode.IsEnabled && (x.RequiresGrad || eps.RequiresGrad))
                return DiffusionStepComposed(x, eps, c, generator);
            var state = c.NoiseScale != 0 ? generator!.Next(x.Count) : default;
            var y = Tensor.Empty(x.Shape, x.Device);
            x.Device.DiffusionStep(c, state, x.ExpectFullPrecision("diffusionStep").Storage, eps.ExpectFullPrecision("diffusionStep").Storage, y.Storage);
            return y;
        }

        /// <summary>losses[n] = weights[n] * mean over sample n of (x - y)^2, for x and y[n, ...].</summary>
        public static Tensor WeightedMse(Tensor x, Tensor y, Tensor weights)
        {
            CheckSame("weightedMse", x, y);
            CheckPerSample("weightedMse", x, weights);
            return new WeightedMseFunction().Apply(x, y, weights);
        }

        /// <summary>
        /// Classifier-free guidance (Ho and Salimans 2022): unconditional + scale (conditional - unconditional), in one pass. Scale 1
        /// is the conditional prediction, 0 the unconditional one.
        /// </summary>
        public static Tensor Guide(Tensor conditional, Tensor unconditional, double scale)
        {
            CheckSame("guide", conditional, unconditional);
            return Elementwise.Binary<Lerp>(unconditional, conditional, scale);
        }

        /// <summary>
        /// Sinusoidal embedding of times t[n] into [n, dim], see <see cref="TimeEmbeddingGeometry"/>. The frequencies fall from 1 to
        /// (almost) 1 / <paramref name="maxPeriod"/>.
        /// </summary>
        public static Tensor TimeEmbedding(
            Tensor t, int dim, double maxPeriod = 10000, bool flipSinToCos = false, double frequencyShift = 0)
        {
            if (t.Rank != 1)
                throw new ArgumentException($"timeEmbedding: the times must be a vector, not {t.Shape}.");
            if (dim < 2)
                throw new ArgumentOutOfRangeException(nameof(dim), $"timeEmbedding: the dimension must be at least 2, not {dim}.");
            if (!(maxPeriod > 0))
                throw new ArgumentOutOfRangeException(nameof(maxPeriod), $"timeEmbedding: the period must be positive, not {maxPeriod}.");
            if (dim / 2 == frequencyShift)
                throw new ArgumentOutOfRangeException(
                    nameof(frequencyShift), $"timeEmbedding: a shift of {frequencyShift} leaves nothing of {dim / 2} frequencies.");
            return new TimeEmbeddingFunction(dim, maxPeriod, flipSinToCos, frequencyShift).Apply(t);
        }

        /// <summary>The definition of a step in plain operations; drawing the same noise, it agrees with the fused one to rounding.</summary>
        private static Tensor DiffusionStepComposed(Tensor x, Tensor eps, in DiffusionStepCoefficients c, Generator? generator)
        {
            var x0 = x * c.InverseAlpha - eps * c.SigmaOverAlpha;
            if (!double.IsPositiveInfinity(c.ClipX0))
                x0 = x0.Clamp(-c.ClipX0, c.ClipX0);
            var y = x * c.CoefficientX + x0 * c.CoefficientX0 + eps * c.CoefficientEps;
            return c.NoiseScale == 0 ? y : y + Tensor.Randn(generator!, x.Shape, x.Device) * c.NoiseScale;
        }

        private static void CheckSame(string operation, Tensor x, Tensor y)
        {
            Tensor.ExpectSameDevice(operation, x, y);
            if (x.Shape != y.Shape)
                throw new ArgumentException($"{operation}: shapes {x.Shape} and {y.Shape} must be the same.");
        }

        private static void CheckPerSample(string operation, Tensor x, Tensor perSample)
        {
            Tensor.ExpectSameDevice(operation, x, perSample);
            if (x.Rank == 0 || perSample.Rank != 1 || perSample.Shape[0] != x.Shape[0])
                throw new ArgumentException($"{operation}: {perSample.Shape} is not one number for each sample of {x.Shape}.");
        }
    }
}

namespace RawDiffusion.Ops
{
    internal sealed class ForwardDiffusionFunction(PhiloxState state) : Function
    {
        public override string Name => "forwardDiffusion";

        protected override ulong ReadsInputs => 0b010;

        /// <summary>The noise that was drawn.</summary>
        public Tensor? Noise { get; private set; }

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor x0 = inputs[0].ExpectFullPrecision(Name), alpha = inputs[1].ExpectFullPrecision(Name), sigma = inputs[2].ExpectFullPrecision(Name);
            Tensor xt = Tensor.Empty(x0.Shape, x0.Device), noise = Tensor.Empty(x0.Shape, x0.Device);
            x0.Device.ForwardDiffusion(
                x0.Shape[0], x0.Shape.Product(1, x0.Rank), state, x0.Storage, alpha.Storage, sigma.Storage, xt.Storage, noise.Storage);
            Noise = noise;
            return xt;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = gradOutput * PerSample(Inputs[1], gradOutput.Rank);

        /// <summary>values[n] as [n, 1, ...], to be broadcast over samples.</summary>
        internal static Tensor PerSample(Tensor values, int rank)
        {
            Span<int> extents = stackalloc int[rank];
            extents.Fill(1);
            extents[0] = values.Count;
            return values.Reshape(new Shape(extents));
        }
    }

    internal sealed class WeightedMseFunction : Function
    {
        public override string Name => "weightedMse";

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor x = inputs[0].ExpectFullPrecision(Name), y = inputs[1].ExpectFullPrecision(Name), weights = inputs[2].ExpectFullPrecision(Name);
            var losses = Tensor.Empty(weights.Shape, x.Device);
            x.Device.WeightedMse(x.Shape[0], x.Shape.Product(1, x.Rank), x.Storage, y.Storage, weights.Storage, losses.Storage);
            return losses;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            Tensor x = Inputs[0], y = Inputs[1], weights = Inputs[2];
            int size = x.Shape.Product(1, x.Rank);
            if (NeedsGrad(0) || NeedsGrad(1))
            {
                Tensor gx;
                if (GradMode.IsEnabled)
                {
                    gx = (x - y) * ForwardDiffusionFunction.PerSample(gradOutput * weights * (2.0 / size), x.Rank);
                }
                else
                {
                    gx = Tensor.Empty(x.Shape, x.Device);
                    x.Device.WeightedMseGrad(x.Shape[0], size, x.Storage, y.Storage, weights.Storage, gradOutput.Storage, gx.Storage);
                }
                if (NeedsGrad(1))
                    gradInputs[1] = -gx;
                if (NeedsGrad(0))
                    gradInputs[0] = gx;
            }
            if (NeedsGrad(2))
                gradInputs[2] = gradOutput * F.WeightedMse(x, y, Tensor.Ones(weights.Shape, weights.Device));
        }
    }

    internal sealed class TimeEmbeddingFunction(int dim, double maxPeriod, bool flipSinToCos, double frequencyShift) : Function
    {
        private Tensor? _y;

        public override string Name => "timeEmbedding";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var t = inputs[0].ExpectFullPrecision(Name);
            var y = Tensor.Empty([t.Count, dim], t.Device);
            t.Device.TimeEmbedding(new TimeEmbeddingGeometry(t.Count, dim, maxPeriod, flipSinToCos, frequencyShift), t.Storage, y.Storage);
            return _y = y;
        }

        /// <summary>d sin(t f) / dt = f cos(t f) and d cos(t f) / dt = -f sin(t f): both halves of the output itself, exchanged.</summary>
        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            int half = dim / 2;
            var frequencies = new double[half];
            for (int i = 0; i < half; i++)
                frequencies[i] = Math.Pow(maxPeriod, -i / (half - frequencyShift)) * (flipSinToCos ? -1 : 1);
            var f = Tensor.From(frequencies, [half], gradOutput.Device);
            Tensor first = gradOutput.Slice(1, 0, half) * _y!.Slice(1, half, half);
            Tensor second = gradOutput.Slice(1, half, half) * _y.Slice(1, 0, half);
            gradInputs[0] = ((first - second) * f).SumTo([gradOutput.Shape[0], 1]).Reshape(-1);
        }
    }
}
