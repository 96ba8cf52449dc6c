using RawDiffusion.Ops;

namespace RawDiffusion
{
    /// <summary>What a loss does with the losses of single elements.</summary>
    public enum LossReduction
    {
        Mean,
        Sum,
        None,
    }

    public static partial class F
    {
        /// <summary>
        /// The cross-entropy -log(softmax(logits)[label]) of class labels.
        /// </summary>
        /// <param name="logits">[..., classes].</param>
        /// <param name="labels">Int32 [...], each in [0, classes).</param>
        /// <param name="reduction">The mean over all labels, the sum, or the losses in the shape of the labels.</param>
        /// <exception cref="ArgumentException">The labels do not fit the logits.</exception>
        public static Tensor CrossEntropy(Tensor logits, Tensor labels, LossReduction reduction = LossReduction.Mean)
        {
            if (logits.Rank == 0 || labels.Shape != AxisMask.Remove(logits.Shape, 1 << (logits.Rank - 1), keepDims: false))
                throw new ArgumentException(
                    $"crossEntropy: labels of shape {labels.Shape} do not fit logits of shape {logits.Shape}: the same without the last axis.");
            Tensor.ExpectSameDevice("crossEntropy", logits, labels);
            IndexRange.Check("crossEntropy", labels.ExpectInt32("crossEntropy"), logits.Shape[^1]);
            return Reduce(new CrossEntropyFunction().Apply(logits, labels), reduction);
        }

        /// <summary>The squared difference; shapes must agree, since a broadcast there is a mistake more often than a wish.</summary>
        /// <exception cref="ArgumentException">The shapes differ.</exception>
        public static Tensor MseLoss(Tensor prediction, Tensor target, LossReduction reduction = LossReduction.Mean)
        {
            if (prediction.Shape != target.Shape)
                throw new ArgumentException(
                    $"mseLoss: the prediction has shape {prediction.Shape}, the target {target.Shape}; they must be the same.");
            var difference = prediction - target;
            if (reduction == LossReduction.None)
                return difference.Square();
            var sum = new SumOfSquaresFunction(AxisMask.All(difference.Rank).Bits, Shape.Scalar).Apply(difference);
            return reduction == LossReduction.Sum ? sum : sum / difference.Count;
        }

        private static Tensor Reduce(Tensor losses, LossReduction reduction) => reduction switch
        {
            LossReduction.Mean => losses.Mean(),
            LossReduction.Sum => losses.Sum(),
            _ => losses,
        };
    }
}

namespace RawDiffusion.Ops
{
    /// <summary>logSumExp(logits) - logits[label] for every row, without the softmax in memory.</summary>
    internal sealed class CrossEntropyFunction : Function
    {
        public override string Name => "crossEntropy";

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor logits = inputs[0].ExpectFloat(Name), labels = inputs[1];
            var losses = Tensor.Empty(labels.Shape, logits.Device);
            logits.Device.CrossEntropy(labels.Count, logits.Shape[^1], logits.Storage, labels.Storage, losses.Storage);
            return losses;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            Tensor logits = Inputs[0], labels = Inputs[1];
            int classes = logits.Shape[^1];
            if (GradMode.IsEnabled)
            {
                gradInputs[0] = gradOutput.Unsqueeze(-1).To(logits.DType) * (F.Softmax(logits) - labels.OneHot(classes).To(logits.DType));
                return;
            }
            var gLogits = Tensor.EmptyOf(logits, logits.Shape);
            logits.Device.CrossEntropyGrad(labels.Count, classes, logits.Storage, labels.Storage, gradOutput.Storage, gLogits.Storage);
            gradInputs[0] = gLogits;
        }
    }
}
