using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Training;

/// <summary>How <see cref="ConvClassifier"/> is trained, and how it is tested.</summary>
public static class ClassifierTraining
{
    /// <summary>Images that a classifier is tested on where there is no end of them.</summary>
    private const int FreshTestImages = 10_000;

    private const int TestBatch = 1000;

    /// <summary>Enough for 99.4% of MNIST's test digits, in about half a minute.</summary>
    public static TrainingConfig Defaults { get; } = new() { Steps = 2500, Batch = 128, LearningRate = 6e-3, WeightDecay = 0.05, EmaDecay = 0.998 };

    /// <summary>The untrained classifier of a data set with all that its training changes.</summary>
    /// <param name="kind">Which of the data's labels it is to tell; the first are the classes.</param>
    public static TrainingState NewState(ITrainingData data, TrainingConfig training, ulong seed, Backend device, int kind = 0)
    {
        var model = new ConvClassifier(
            new Generator(seed, RandomStreams.Weights), device, data.SampleShape[0], data.SampleShape[2], data.LabelKinds[kind].Values.Count);
        return TrainingState.New(model, WeightFiles.Plain(model), training);
    }

    /// <summary>Labelled images and the cross-entropy of what the classifier says of them.</summary>
    /// <param name="kind">Which of the data's labels it is to tell.</param>
    public static BatchSource Batches(ConvClassifier model, ITrainingData data, ulong seed, Backend device, int kind = 0) =>
        new DataBatches(data, seed, device, samples => new LabelledBatch(model, samples, kind)).Next;

    /// <summary>Trains a classifier to judge samples by.</summary>
    /// <param name="kind">Which of the data's labels it is to tell.</param>
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    public static ConvClassifier Train(
        ITrainingData data, int steps, ulong seed, Backend device, IRunReporter reporter, CancellationToken stop, int kind = 0)
    {
        var training = Defaults with { Steps = steps };
        var state = NewState(data, training, seed, device, kind);
        var model = (ConvClassifier)state.Model;
        Trainer.Fit(state, training, Batches(model, data, seed, device, kind), reporter, "judge", stop);
        return model;
    }

    /// <summary>Steps for a classifier of noised images: two fifths of those for one of clean images, as most of what it sees can be told only roughly.</summary>
    public static int NoisySteps(EvaluationConfig evaluation) => Math.Max(1, evaluation.ClassifierSteps * 2 / 5);

    /// <summary>Trains a classifier that knows noised images of a process, to guide samplers with.</summary>
    /// <param name="model">A fresh one.</param>
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    public static NoisyImageClassifier TrainNoisy(
        NoisyImageClassifier model, ITrainingData data, ForwardProcess process, int steps, ulong seed, IRunReporter reporter, CancellationToken stop)
    {
        var training = Defaults with { Steps = steps, LearningRate = 3e-3 };
        var device = model.Output.Weight.Device;
        var generator = new Generator(seed, RandomStreams.Noise);
        var state = TrainingState.New(model, WeightFiles.Plain(model), training, ("noise", generator));
        // The end of a process tells nothing, its first thousandth is clean.
        var times = TimeSampler.Uniform(process, 1e-3 * process.EndTime);
        var batches = new DataBatches(
            data, seed, device, samples => new NoisedClassesBatch(model.Forward, process, samples.X, samples.Labels!, times, generator));
        Trainer.Fit(state, training, batches.Next, reporter, "classifier", stop);
        return model;
    }

    /// <summary>The share of images whose largest logit is that of their label.</summary>
    /// <param name="heldOut">What the classifier has not seen.</param>
    /// <param name="kind">Which of the data's labels it tells.</param>
    /// <returns>The share, and of how many images.</returns>
    public static (double Share, int Count) Accuracy(ConvClassifier model, ITrainingData heldOut, Backend device, IRunReporter reporter, int kind = 0)
    {
        using var noGrad = new NoGrad();
        int right = 0, count = Math.Min(heldOut.Count ?? FreshTestImages, FreshTestImages), batches = (count + TestBatch - 1) / TestBatch;
        reporter.Begin("test", batches, TestBatch);
        for (int b = 0; b < batches; b++)
        {
            using var scope = new MemoryScope();
            int start = b * TestBatch;
            var batch = heldOut.Draw(start, Math.Min(TestBatch, count - start), 0, device);
            right += Right(model.Forward(batch.X), LabelsOf(batch, kind));
            reporter.Report(b + 1);
        }
        reporter.End();
        return ((double)right / count, count);
    }

    /// <summary>The share of images that a classifier takes for what they were to be.</summary>
    /// <param name="images">[n, height, width, channels].</param>
    /// <param name="labels">Int32 [n].</param>
    public static double ShareRight(ConvClassifier model, Tensor images, Tensor labels)
    {
        using var noGrad = new NoGrad();
        using var scope = new MemoryScope();
        return (double)Right(model.Forward(images), labels) / images.Shape[0];
    }

    /// <summary>How many of the largest logits [n, classes] are those of the labels, Int32 [n].</summary>
    internal static int Right(Tensor logits, Tensor labels) =>
        logits.ArgMax(1).ToInt32Array().Zip(labels.ToInt32Array()).Count(pair => pair.First == pair.Second);

    private static Tensor LabelsOf(Batch batch, int kind) => kind == 0 ? batch.Labels! : Column(batch.Attributes!, kind);

    private static Tensor Column(Tensor attributes, int kind) => attributes.Slice(1, kind, 1).Reshape(attributes.Shape[0]);

    private sealed class LabelledBatch(ConvClassifier model, Batch batch, int kind) : TrainingBatch
    {
        public override IReadOnlyList<Tensor> Inputs { get; } = [batch.X, kind == 0 ? batch.Labels! : batch.Attributes!];

        /// <returns>The images and the labels of the kind.</returns>
        public override IReadOnlyList<Tensor> Draw(IReadOnlyList<Tensor> inputs) => [inputs[0], kind == 0 ? inputs[1] : Column(inputs[1], kind)];

        public override Tensor Loss(IReadOnlyList<Tensor> drawn) => F.CrossEntropy(model.Forward(drawn[0]), drawn[1]);
    }
}
