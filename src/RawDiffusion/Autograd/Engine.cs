using System.Runtime.CompilerServices;
using RawDiffusion.Backends;

namespace RawDiffusion;

/// <summary>
/// Walks the tape from outputs to inputs. Nodes are visited in falling order of <see cref="Function.Sequence"/>, which is a
/// topological order because a function is made after its inputs.
/// </summary>
/// <remarks>
/// Memory: a gradient that a node's backward pass made is <see cref="Storage.IsTransient"/> and goes back to the pool as soon as
/// the last one who holds it (a pending gradient, a gradient asked for) lets go. What was not made during the pass (the seed,
/// inputs, saved outputs) is never transient, so it can be passed on freely. With createGraph nothing is transient: the recorded
/// graph may refer to all of it.
/// </remarks>
internal static class Engine
{
    [ThreadStatic]
    private static List<Function>? s_spareNodes;

    private static int s_visit;

    internal static void Backward(Tensor output, Tensor? gradient, bool retainGraph, bool createGraph) =>
        Run(output, gradient, inputs: [], gradients: [], retainGraph, createGraph);

    /// <summary>Gradients of one output with respect to <paramref name="inputs"/>; leaves' Grad fields are left alone.</summary>
    internal static Tensor?[] Gradients(Tensor output, ReadOnlySpan<Tensor> inputs, Tensor? gradient, bool retainGraph, bool createGraph)
    {
        if (inputs.Length == 0)
            return [];
        var gradients = new Tensor?[inputs.Length];
        Run(output, gradient, inputs, gradients, retainGraph, createGraph);
        for (int i = 0; i < inputs.Length; i++)
            gradients[i] = gradients[IndexOf(inputs, inputs[i])];
        return gradients;
    }

    private static Tensor SeedGradient(Tensor output, Tensor? gradient)
    {
        if (!output.RequiresGrad)
            throw new InvalidOperationException($"Backward: the tensor of shape {output.Shape} does not depend on anything that requires gradients.");
        if (gradient is null)
        {
            if (output.Count != 1)
                throw new InvalidOperationException($"Backward: a tensor of shape {output.Shape} is not a scalar, so its gradient must be given.");
            return Tensor.Ones(output.Shape, output.Device);
        }
        if (gradient.Shape != output.Shape)
            throw new ArgumentException($"Backward: the gradient has shape {gradient.Shape}, the tensor {output.Shape}.");
        Tensor.ExpectSameDevice("Backward", output, gradient.ExpectFloat("Backward"));
        return gradient;
    }

    private static void Run(
        Tensor output, Tensor? gradient, ReadOnlySpan<Tensor> inputs, Span<Tensor?> gradients, bool retainGraph, bool createGraph)
    {
        var seed = SeedGradient(output, gradient);
        int visit = Interlocked.Increment(ref s_visit);
        var nodes = s_spareNodes ?? [];
        s_spareNodes = null;
        bool mode = GradMode.Set(createGraph);
        bool done = false;
        try
        {
            bool cut = Collect(output, nodes, visit, inputs);
            nodes.Sort(static (a, b) => a.Sequence.CompareTo(b.Sequence));
            MarkNeeded(nodes, inputs, visit);
            Deliver(output, seed, visit, inputs, gradients);
            for (int i = nodes.Count - 1; i >= 0; i--)
            {
                if (nodes[i].Visit != visit)
                    continue;
                if (nodes[i].Pending is not null)
                    Step(nodes[i], visit, inputs, gradients, createGraph);
                if (!retainGraph && !createGraph)
                    nodes[i].Consume();
            }
            if (cut && gradients.Contains(null))
                throw new InvalidOperationException(
                    "Grad: the tape below one of the inputs has been freed by an earlier backward pass. Ask that pass for retainGraph: true.");
            done = true;
        }
        finally
        {
            foreach (var node in nodes)
            {
                if (node.Pending is { } pending)
                    Drop(pending);
                node.Pending = null;
            }
            nodes.Clear();
            s_spareNodes = nodes;
            for (int i = 0; i < gradients.Length; i++)
            {
                if (gradients[i] is not { } found || IndexOf(inputs, inputs[i]) != i)
                    continue;
                // From here on it is the caller's.
                if (done)
                    found.Storage.IsTransient = false;
                Drop(found);
            }
            GradMode.Set(mode);
        }
    }

    /// <summary>Every node below <paramref name="output"/>, in any order.</summary>
    /// <returns>Whether the walk stopped at a named input whose own tape has been freed.</returns>
    private static bool Collect(Tensor output, List<Function> nodes, int visit, ReadOnlySpan<Tensor> inputs)
    {
        bool cut = Visit(output, nodes, visit, inputs);
        for (int i = 0; i < nodes.Count; i++)
        {
            foreach (var input in nodes[i].Inputs)
                cut |= Visit(input, nodes, visit, inputs);
        }
        return cut;
    }

    private static bool Visit(Tensor tensor, List<Function> nodes, int visit, ReadOnlySpan<Tensor> inputs)
    {
        if (tensor.Producer is not { } producer || producer.Visit == visit)
            return false;
        if (producer.IsConsumed)
        {
            if (IndexOf(inputs, tensor) >= 0)
                return true;
            throw new InvalidOperationException(
                $"Backward: the tape of {producer.Name} has been freed by an earlier backward pass. Ask that pass for retainGraph: true.");
        }
        producer.Visit = visit;
        nodes.Add(producer);
        return false;
    }

    /// <summary>
    /// Tells every node which inputs need a gradient: with no named inputs all that require one, else only those on a way to
    /// a named one. Nodes on no such way lose their mark and are skipped.
    /// </summary>
    private static void MarkNeeded(List<Function> nodes, ReadOnlySpan<Tensor> inputs, int visit)
    {
        foreach (var node in nodes)
        {
            bool any = false;
            ulong needed = 0;
            for (int i = 0; i < node.Inputs.Length; i++)
            {
                var input = node.Inputs[i];
                if (!input.RequiresGrad
                    || inputs.Length > 0 && IndexOf(inputs, input) < 0 && input.Producer?.Visit != visit)
                    continue;
                any = true;
                if (i < 64)
                    needed |= 1ul << i;
            }
            node.SetNeeded(needed);
            if (!any)
                node.Visit = 0;
        }
    }

    private static void Step(Function node, int visit, ReadOnlySpan<Tensor> inputs, Span<Tensor?> gradients, bool createGraph)
    {
        if (createGraph && !node.SupportsCreateGraph)
            throw new InvalidOperationException(
                $"{node.Name} has no second derivative: its backward pass is one fused kernel. Compose it from plain operations where createGraph is needed.");
        var gradOutput = node.Pending!;
        var inline = new GradientSlots();
        Span<Tensor?> slots = node.Inputs.Length <= GradientSlots.Length ? inline[..node.Inputs.Length] : new Tensor?[node.Inputs.Length];
        if (createGraph)
            node.RunBackward(gradOutput, slots);
        else
            RunInScope(node, gradOutput, slots);
        // All are held before the first is passed on: one tensor may be the gradient of several inputs.
        foreach (var gradient in slots)
        {
            if (gradient is not null)
                gradient.Storage.Holds++;
        }
        try
        {
            Route(node, slots, visit, inputs, gradients);
        }
        finally
        {
            foreach (var gradient in slots)
            {
                if (gradient is not null)
                    Drop(gradient);
            }
        }
        node.Pending = null;
        Drop(gradOutput);
    }

    /// <summary>What a backward pass computes on the way dies with this scope; the gradients pass to the scope around it.</summary>
    private static void RunInScope(Function node, Tensor gradOutput, Span<Tensor?> slots)
    {
        using var scope = new MemoryScope();
        node.RunBackward(gradOutput, slots);
        foreach (var gradient in slots)
        {
            if (gradient is not null && scope.Keep(gradient.Storage))
                gradient.Storage.IsTransient = true;
        }
    }

    private static void Route(Function node, Span<Tensor?> slots, int visit, ReadOnlySpan<Tensor> inputs, Span<Tensor?> gradients)
    {
        for (int i = 0; i < slots.Length; i++)
        {
            var input = node.Inputs[i];
            if (slots[i] is not { } gradient || !input.RequiresGrad)
                continue;
            if (gradient.Shape != input.Shape)
                throw new InvalidOperationException(
                    $"{node.Name} backward returned a gradient of shape {gradient.Shape} for input {i} of shape {input.Shape}.");
            Deliver(input, gradient, visit, inputs, gradients);
        }
    }

    /// <summary>Adds a gradient to what a tensor has received so far: as a named input, as a node still to be visited, as a leaf.</summary>
    private static void Deliver(Tensor tensor, Tensor gradient, int visit, ReadOnlySpan<Tensor> inputs, Span<Tensor?> gradients)
    {
        int named = IndexOf(inputs, tensor);
        if (named >= 0)
            gradients[named] = Sum(gradients[named], gradient);
        if (tensor.Producer is { } producer)
        {
            if (producer.Visit == visit)
                producer.Pending = Sum(producer.Pending, gradient);
        }
        else if (inputs.Length == 0)
        {
            tensor.AccumulateGrad(gradient);
        }
    }

    /// <summary>sum + gradient, held once in place of sum. In place where nobody else can see it.</summary>
    private static Tensor Sum(Tensor? sum, Tensor gradient)
    {
        if (sum is null)
        {
            gradient.Storage.Holds++;
            return gradient;
        }
        if (sum.Storage is { IsTransient: true, Holds: 1 })
        {
            sum.Device.Accumulate(gradient.Storage, sum.Storage);
            return sum;
        }
        var total = sum + gradient;
        total.Storage.Holds++;
        total.Storage.IsTransient = !GradMode.IsEnabled;
        Drop(sum);
        return total;
    }

    /// <summary>Lets go of a gradient; the last one to do so hands its memory back if the pass made it.</summary>
    private static void Drop(Tensor gradient)
    {
        if (!gradient.IsAlive)
            return;
        var storage = gradient.Storage;
        if (--storage.Holds == 0 && storage.IsTransient)
            MemoryScope.ReleaseEarly(storage);
    }

    private static int IndexOf(ReadOnlySpan<Tensor> tensors, Tensor tensor)
    {
        for (int i = 0; i < tensors.Length; i++)
        {
            if (ReferenceEquals(tensors[i], tensor))
                return i;
        }
        return -1;
    }

    [InlineArray(Length)]
    private struct GradientSlots
    {
        public const int Length = 8;
        private Tensor? _first;
    }
}
